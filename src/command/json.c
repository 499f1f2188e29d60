/* SPDX-License-Identifier: BSD-2-Clause */
/* --json: how a command ended and what it took, as one object. It has only numbers and words of
 * ours, so that nothing needs to be quoted. (cJSON, in Debian, has no static library.) */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "machine/machine.h"

#define PATIENCE_MS 5000 /* how long a slow reader is waited for */

static uint64_t exits(const struct machine *m)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < m->nr_vcpus; i++)
		for (unsigned r = 0; r < VCPU_EXIT_REASONS; r++)
			sum += m->vcpu[i].stats.exits[r];
	return sum;
}

static const char *how(const struct command *cmd)
{
	if (cmd->timed_out)
		return "timeout";
	switch (cmd->ended) {
	case COMMAND_EXITED:
		return "exit";
	case COMMAND_SIGNALLED:
		return "signal";
	case COMMAND_ERROR:
		return "error";
	case COMMAND_UNKNOWN:
		break;
	}
	return cmd->m->end == END_KILLED ? "stopped" : "crash";
}

/* Writes how the time from the machine's beginning to now was spent; steps that it didn't reach are
 * null. */
static void put_times(const struct command *cmd, FILE *f)
{
	const int64_t begin = cmd->m->times.begin, now = (int64_t)monotonic_ns();
	const int64_t entered = (int64_t)cmd->m->vcpu[0].stats.first_run_ns;
	const int64_t started = (int64_t)cmd->started_ns, ended = (int64_t)cmd->ended_ns;
	const struct {
		const char *name;
		bool there;
		int64_t us;
	} step[] = {
		{ "monitor", entered, (entered - begin) / 1000 },
		{ "kernel", started, (started - entered) / 1000 - cmd->init_us },
		{ "init", started, cmd->init_us },
		{ "command", started && ended, (ended - started) / 1000 },
		{ "end", ended, (now - ended) / 1000 },
		{ "total", true, (now - begin) / 1000 },
	};

	fprintf(f, "  \"times_us\": {");
	for (size_t i = 0; i < ARRAY_SIZE(step); i++) {
		fprintf(f, "%s\"%s\": ", i ? ", " : "", step[i].name);
		if (step[i].there)
			fprintf(f, "%lld", (long long)step[i].us);
		else
			fprintf(f, "null");
	}
	fprintf(f, "},\n");
}

static void put_bytes(const struct command *cmd, FILE *f)
{
	static const char *const names[] = { "stdin", "stdout", "stderr" };
	const struct vsock_offer *o = cmd->m->vsock.offer;

	fprintf(f, "  \"bytes\": {");
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		fprintf(f, "%s\"%s\": %llu", i ? ", " : "", names[i],
			(unsigned long long)(i == GUEST_STDIN ? o[i].to_guest : o[i].from_guest));
	fprintf(f, "},\n");
}

int command_empty_json(struct command *cmd)
{
	const char *path = cmd->config->command.json;
	int rc;

	cmd->json = (struct command_json){ .out.fd = -1, .path = path };
	rc = path ? output_open(&cmd->json.out, path, O_TRUNC) : 0;
	return rc < 0 ? log_ret(rc, "--json %s: %s", path, output_error(rc)) : 0;
}

static void put_all(const struct command *cmd, FILE *f)
{
	struct rusage usage = { 0 };

	getrusage(RUSAGE_SELF, &usage);
	fprintf(f, "{\n  \"status\": %d,\n  \"end\": \"%s\",\n  \"signal\": ", command_status(cmd),
		how(cmd));
	if (cmd->ended == COMMAND_SIGNALLED)
		fprintf(f, "%d,\n", cmd->value);
	else
		fprintf(f, "null,\n");
	fprintf(f, "  \"out_of_memory\": %s,\n  \"overlay_full\": %s,\n",
		cmd->oom ? "true" : "false", cmd->full ? "true" : "false");
	put_times(cmd, f);
	put_bytes(cmd, f);
	fprintf(f, "  \"memory\": %llu,\n  \"peak_memory\": %llu,\n  \"exits\": %llu\n}\n",
		(unsigned long long)cmd->config->memory.size,
		(unsigned long long)usage.ru_maxrss * 1024, (unsigned long long)exits(cmd->m));
}

/* A regular file is written at once. If others write there, too, ours comes after what they write
 * now; and what there is no room for waits until nobody waits for the guest any more: see
 * command_json_finish(). */
void command_write_json(struct command *cmd)
{
	struct command_json *j = &cmd->json;
	ssize_t n = 0;
	FILE *f;

	if (!cmd->config->command.json || j->out.fd < 0)
		return;
	f = open_memstream(&j->text, &j->len);
	if (f)
		put_all(cmd, f);
	if (!f || fclose(f) != 0) {
		log_errno("--json %s", j->path);
		return;
	}
	if (j->out.regular && ftruncate(j->out.fd, 0) < 0) /* somebody may have changed it */
		log_errno("--json %s", j->path);
	if (!j->out.given)
		n = output_write(&j->out, j->text, j->len);
	j->done = n > 0 ? (size_t)n : 0;
	if (j->done == j->len)
		command_json_finish(j);
}

bool command_json_waits(const struct command_json *j)
{
	return j->text && j->done < j->len;
}

void command_json_finish(struct command_json *j)
{
	int rc = 0;

	if (command_json_waits(j))
		rc = output_write_all(&j->out, j->text + j->done, j->len - j->done, PATIENCE_MS);
	if (rc < 0)
		log_ret(rc, "--json %s: %s", j->path,
			rc == -ETIMEDOUT ? "its reader is too slow: it is not complete"
					 : strerrordesc_np(-rc));
	output_close(&j->out);
	free(j->text);
	j->text = NULL;
}
