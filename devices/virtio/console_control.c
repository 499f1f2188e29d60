/* SPDX-License-Identifier: BSD-2-Clause */
/* Control messages of virtio-console (virtio 1.2 §5.3.6.2). */
#include "virtio/console_control.h"

#include <linux/virtio_console.h>

struct console_message {
	le32_t id;
	le16_t event, value;
};
_Static_assert(sizeof(struct console_message) == sizeof(struct virtio_console_control),
	       "virtio 1.2 §5.3.6.2");

#define SAY(event) (uint8_t)(1u << (event))

/* Returns 1: it was said; 0: the driver has no buffer for it now; or < 0, like virtq_pop(). */
static int say(struct console_port *p, uint16_t event, uint16_t value)
{
	struct virtq *q = &p->console->vd.q[CONSOLE_CONTROL_RX];
	const struct console_message m = { to_le32(console_port_id(p)), to_le16(event),
					   to_le16(value) };
	struct virtq_chain c;
	int rc = virtq_pop(q, &c);
	size_t n;

	if (rc <= 0)
		return rc;
	n = chain_write(&c, 0, &m, sizeof(m));
	if (event == VIRTIO_CONSOLE_PORT_NAME)
		n += chain_write(&c, n, p->end.name, strlen(p->end.name));
	virtq_push(q, c.head, (uint32_t)n);
	return 1;
}

/* Tells of each client that came and each that left since the guest was last told; of many, only
 * the last two events. */
static int say_connections(struct console_port *p)
{
	const unsigned now = stream_connections(p->end.stream);
	struct console_port_state *s = &p->state;
	int rc = 1;

	if (now - s->told > 2)
		s->told += (now - s->told - 1) & ~1u;
	while (s->told != now && rc > 0) {
		rc = say(p, VIRTIO_CONSOLE_PORT_OPEN, (s->told + 1) & 1);
		if (rc > 0)
			s->told++;
	}
	return rc;
}

int console_port_say(struct console_port *p)
{
	static const uint8_t order[] = { VIRTIO_CONSOLE_PORT_ADD, VIRTIO_CONSOLE_PORT_NAME };
	struct console_port_state *s = &p->state;
	int rc = 1;

	for (size_t i = 0; i < ARRAY_SIZE(order) && rc > 0; i++) {
		if (!(s->to_say & SAY(order[i])))
			continue;
		rc = say(p, order[i], 1);
		if (rc > 0)
			s->to_say &= (uint8_t)~SAY(order[i]);
	}
	if (rc > 0 && s->added)
		rc = say_connections(p);
	return min(rc, 0);
}

static void hear(struct virtio_console *c, const struct console_message *m)
{
	const uint32_t id = le32(m->id);
	const bool value = le16(m->value) != 0;
	struct console_port *p = id > 0 && id < c->nr_ports ? &c->port[id] : NULL;

	switch (le16(m->event)) {
	case VIRTIO_CONSOLE_DEVICE_READY:
		for (unsigned i = 1; i < c->nr_ports && value; i++)
			c->port[i].state.to_say |= SAY(VIRTIO_CONSOLE_PORT_ADD);
		break;
	case VIRTIO_CONSOLE_PORT_READY:
		if (!p)
			break;
		p->state.added = value;
		p->state.to_say = value ? SAY(VIRTIO_CONSOLE_PORT_NAME) : 0;
		/* A new port is not open. */
		p->state.told = stream_connections(p->end.stream) & ~1u;
		break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		if (p)
			p->state.open = value;
		break;
	}
}

int console_hear(struct virtio_console *c, struct virtq *q)
{
	struct console_message m;
	struct virtq_chain chain;
	int rc;

	while ((rc = virtq_pop(q, &chain)) > 0) {
		if (chain_read(&chain, 0, &m, sizeof(m)) == sizeof(m))
			hear(c, &m);
		virtq_push(q, chain.head, 0);
	}
	return rc;
}
