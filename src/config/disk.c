/* SPDX-License-Identifier: BSD-2-Clause */
#include "config/disk.h"

#include <stdlib.h>

#include "config/guest_name.h"

/* virtio 1.2 §5.2.6: the identity has 20 bytes. */
static int set_disk_id(const struct opt_value *v, void *field)
{
	return config_guest_name(v, field, sizeof(((struct disk_config *)0)->id));
}

static const struct opt_choice disk_formats[] = {
	{ "raw", DISK_RAW },
	{ "qcow2", DISK_QCOW2 },
	{ NULL, 0 },
};

static const struct opt_choice disk_sectors[] = {
	{ "512", 512 },
	{ "4096", 4096 },
	{ NULL, 0 },
};

/* A file with the name temp is written ./temp. */
static int set_overlay(const struct opt_value *v, void *field)
{
	struct disk_config *d = container_of(field, struct disk_config, overlay);

	d->temp = !strcmp(v->text, "temp");
	return d->temp ? 0 : opt_path(v, field);
}

static const struct opt disk_rows[] = {
	LIST_KEY(NULL, "PATH", opt_path, disk_config, path),
	LIST_KEY("readonly", "on|off", opt_bool, disk_config, readonly),
	LIST_KEY("overlay", "FILE|temp", set_overlay, disk_config, overlay),
	LIST_KEY("format", "raw|qcow2", opt_choice, disk_config, format, .kind = disk_formats),
	LIST_KEY("sector", "512|4096", opt_choice, disk_config, sector, .kind = disk_sectors),
	LIST_KEY("id", "STRING", set_disk_id, disk_config, id),
};
static const struct opt_table disk_table = { .row = disk_rows, .nr = ARRAY_SIZE(disk_rows) };

int config_set_disk(const struct opt_value *v, void *field)
{
	struct config *c = container_of(field, struct config, nr_disks);
	struct disk_config *d = &c->disk[c->nr_disks];
	int rc;

	if (c->nr_disks == CONFIG_MAX_DISKS)
		return opt_fail(v, "there are %d disks already, which is the most; leave one out",
				CONFIG_MAX_DISKS);
	c->nr_disks++; /* before anything can fail: config_destroy() frees it */
	rc = opt_list(v, disk_table, d);
	if (rc)
		return rc;
	if (d->readonly && (d->overlay || d->temp))
		return opt_fail(
			v,
			"with an overlay the disk itself is never written; leave out readonly=on, or leave out overlay= if the guest must not write");
	for (const struct disk_config *o = c->disk; o < d; o++) {
		if (*d->id && !strcmp(o->id, d->id))
			return opt_fail(v, "disk %s has this id already; give each disk its own",
					o->path);
	}
	return 0;
}

void config_disk_destroy(struct disk_config *d)
{
	free(d->path);
	free(d->overlay);
}
