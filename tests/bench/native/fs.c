/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A minimal client of virtio-fs. The directory has "big", a file of at least span bytes, and as many
 * small ones, "f0000000" and so on, as count says. Parameters:
 *   op=read|write   parts of big, at random places
 *   op=lookup   names that the server doesn't know yet
 *   op=known    names that it does
 *   op=getattr  attributes of files that it knows
 *   op=open     a request to open such a file, and one to release it
 *   size=BYTES   of a read or write
 *   depth=N     so many requests are always on their way
 *   count=N     requests (files) in a repetition
 *   runs=N      repetitions, after one that isn't counted
 *   span=BYTES  the part of big that is used, from its beginning
 *   check=1     each page that is read must begin with its number, as 64 bits, and each that is
 *               written does
 * Prints "cycles N" for each repetition: cycles a request; and "kicks N", in a thousand requests.
 */
#include <linux/fuse.h>

#include "virtio.h"

#define PAGE     4096u
#define NAME_LEN 9 /* of a small file, with its 0 */

struct request {
	struct fuse_in_header head;
	union {
		struct fuse_init_in init;
		struct fuse_forget_in forget;
		struct fuse_getattr_in getattr;
		struct fuse_open_in open;
		struct fuse_release_in release;
		struct fuse_read_in read;
		struct fuse_write_in write;
		char name[NAME_LEN];
	} in;
	struct fuse_out_header answer;
	union {
		struct fuse_init_out init;
		struct fuse_entry_out entry;
		struct fuse_attr_out attr;
		struct fuse_open_out open;
		struct fuse_write_out write;
	} out;
	uint8_t *data;
	uint64_t nth; /* file */
};

/* What a request and its answer have after their headers, by the opcode. */
struct form {
	uint32_t opcode, in, out;
};

#define IN(type)  sizeof(struct type)
#define OUT(type) sizeof(struct type)
static const struct form init = { FUSE_INIT, IN(fuse_init_in), OUT(fuse_init_out) },
			 lookup = { FUSE_LOOKUP, NAME_LEN, OUT(fuse_entry_out) },
			 forget = { FUSE_FORGET, IN(fuse_forget_in), 0 },
			 getattr = { FUSE_GETATTR, IN(fuse_getattr_in), OUT(fuse_attr_out) },
			 open = { FUSE_OPEN, IN(fuse_open_in), OUT(fuse_open_out) },
			 release = { FUSE_RELEASE, IN(fuse_release_in), 0 },
			 read = { FUSE_READ, IN(fuse_read_in), 0 },
			 write = { FUSE_WRITE, IN(fuse_write_in), OUT(fuse_write_out) };

static struct device fs;
static struct queue first, queue; /* that of forgets, and that of all other requests */
static struct request *requests;
static uint64_t *nodes; /* of the small files */
static uint64_t big, handle;
static struct {
	const struct form *form;
	uint32_t size;
	uint64_t count, depth, places;
	bool by_node;     /* the requests are about small files that the server knows */
	bool anew, check; /* anew: each repetition begins with a server that knows no file */
} work;

/* Adds the pages of the data, each as a piece of its own. If there are many, the pieces are larger,
 * as they are in a guest that keeps files in large folios. */
static unsigned add_data(struct piece *p, const struct request *r)
{
	uint32_t step = work.size > 64 * 1024 ? 64 * 1024 : PAGE;
	unsigned n = 0;

	for (uint32_t at = 0; at < work.size; at += step)
		p[n++] = (struct piece){ r->data + at,
					 work.size - at < step ? work.size - at : step };
	return n;
}

static void submit(struct request *r, const struct form *f, uint64_t node)
{
	static uint64_t unique;
	struct piece p[PIECES_MAX];
	unsigned out = 0, in = 0;

	r->head = (struct fuse_in_header){
		.len = (uint32_t)sizeof(r->head) + f->in + (f == &write ? work.size : 0),
		.opcode = f->opcode,
		.unique = ++unique,
		.nodeid = node,
	};
	r->answer.error = 1;
	p[out++] = (struct piece){ &r->head, sizeof(r->head) };
	p[out++] = (struct piece){ &r->in, f->in };
	if (f == &write)
		out += add_data(p + out, r);
	if (f != &forget)
		p[out + in++] = (struct piece){ &r->answer, sizeof(r->answer) };
	if (f->out)
		p[out + in++] = (struct piece){ &r->out, f->out };
	if (f == &read)
		in += add_data(p + out + in, r);
	if (!queue_add(f == &forget ? &first : &queue, p, out, in, r))
		fail("the queue is full");
}

static void take_answer(const struct request *r)
{
	expect("error of a request", (uint32_t)-r->answer.error, 0);
}

static void do_one(struct request *r, const struct form *f, uint64_t node)
{
	submit(r, f, node);
	queue_kick(&queue);
	queue_wait(&queue, NULL);
	take_answer(r);
}

static void set_name(struct request *r, uint64_t nth)
{
	r->in.name[0] = 'f';
	for (unsigned i = NAME_LEN - 2; i > 0; i--, nth /= 10)
		r->in.name[i] = (char)('0' + nth % 10);
	r->in.name[NAME_LEN - 1] = 0;
}

/* Each page of the data begins with its own number. */
static void stamp(const struct request *r)
{
	for (uint32_t at = 0; at < work.size; at += PAGE)
		*(uint64_t *)(r->data + at) = (r->in.write.offset + at) / PAGE;
}

/* The nth request of a repetition. */
static void begin(struct request *r, uint64_t n)
{
	const uint64_t place = random_next() % work.places * work.size;

	r->nth = n;
	if (work.form == &read) {
		r->in.read = (struct fuse_read_in){ handle, place, .size = work.size };
		submit(r, &read, big);
	} else if (work.form == &write) {
		r->in.write = (struct fuse_write_in){ handle, place, .size = work.size };
		if (work.check)
			stamp(r);
		submit(r, &write, big);
	} else if (work.form == &lookup) {
		set_name(r, n);
		submit(r, &lookup, FUSE_ROOT_ID);
	} else {
		r->in.getattr = (struct fuse_getattr_in){ 0 }; /* or an empty open */
		submit(r, work.form, nodes[n]);
	}
}

static void check(const struct request *r)
{
	for (uint32_t at = 0; at < work.size; at += PAGE)
		expect("page", *(uint64_t *)(r->data + at), (r->in.read.offset + at) / PAGE);
}

/* Whether it is done: a file that was opened is released next. */
static bool finished(struct request *r)
{
	take_answer(r);
	if (r->head.opcode == FUSE_READ && work.check)
		check(r);
	if (r->head.opcode == FUSE_WRITE)
		expect("written", r->out.write.size, work.size);
	if (r->head.opcode == FUSE_LOOKUP)
		nodes[r->nth] = r->out.entry.nodeid;
	if (r->head.opcode != FUSE_OPEN)
		return true;
	r->in.release = (struct fuse_release_in){ .fh = r->out.open.fh };
	submit(r, &release, nodes[r->nth]);
	return false;
}

static void forget_all(void)
{
	struct request *r = requests;

	for (uint64_t i = 0; i < work.count; i++) {
		r->in.forget = (struct fuse_forget_in){ .nlookup = 1 };
		submit(r, &forget, nodes[i]);
		queue_kick(&first);
		queue_wait(&first, NULL);
	}
}

static uint64_t do_all(void)
{
	uint64_t begun = 0, done = 0, start = tsc();

	for (; begun < work.depth; begun++)
		begin(&requests[begun], begun);
	queue_kick(&queue);
	while (done < work.count) {
		struct request *r = queue_wait(&queue, NULL);

		do {
			if (!finished(r))
				continue;
			done++;
			if (begun < work.count)
				begin(r, begun++);
		} while ((r = queue_poll(&queue, NULL)));
		queue_kick(&queue);
	}
	return tsc() - start;
}

static void repetition(bool counts)
{
	uint64_t kicks = queue.kicks, cycles = do_all();

	if (counts) {
		report("cycles", cycles / work.count);
		report("kicks", (queue.kicks - kicks) * 1000 / work.count);
	}
	if (work.anew)
		forget_all();
}

static void take_parameters(void)
{
	static const struct {
		const char *name;
		const struct form *form;
	} ops[] = { { "read", &read },    { "write", &write },     { "lookup", &lookup },
		    { "known", &lookup }, { "getattr", &getattr }, { "open", &open } };

	for (unsigned i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		if (param_is("op", ops[i].name))
			work.form = ops[i].form;
	work.by_node = work.form == &getattr || work.form == &open;
	work.anew = param_is("op", "lookup");
	work.check = param("check", 0);
	work.size = (uint32_t)param("size", PAGE);
	work.depth = param("depth", 1);
	work.count = param("count", 1000);
	work.places = param("span", 64 << 20) / work.size;
	if (!work.form || work.size % PAGE || work.size > 1 << 20 || !work.places || !work.depth ||
	    work.depth > work.count)
		fail("parameters");
}

static void mount(void)
{
	struct request *r = requests;

	r->in.init = (struct fuse_init_in){
		.major = FUSE_KERNEL_VERSION,
		.minor = 31, /* Linux 5.4, the first with virtio-fs */
		.max_readahead = 1 << 20,
		.flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_MAX_PAGES,
	};
	do_one(r, &init, 0);
}

static void find_files(void)
{
	struct request *r = requests;

	for (unsigned i = 0; i < sizeof("big"); i++)
		r->in.name[i] = "big\0"[i];
	do_one(r, &(struct form){ FUSE_LOOKUP, sizeof("big"), lookup.out }, FUSE_ROOT_ID);
	big = r->out.entry.nodeid;
	r->in.open = (struct fuse_open_in){ .flags = 2 /* O_RDWR */ };
	do_one(r, &open, big);
	handle = r->out.open.fh;
	for (uint64_t i = 0; i < work.count && work.by_node; i++) {
		set_name(r, i);
		do_one(r, &lookup, FUSE_ROOT_ID);
		nodes[i] = r->out.entry.nodeid;
	}
}

void guest(void)
{
	device_find(&fs, VIRTIO_FS, 0);
	device_start(&fs, RING_EVENT_IDX | RING_INDIRECT_DESC);
	queue_init(&fs, &first, 0, QUEUE_MAX);
	queue_init(&fs, &queue, 1, QUEUE_MAX);
	device_live(&fs);
	take_parameters();
	requests = alloc(sizeof(*requests) * work.depth);
	for (uint64_t i = 0; i < work.depth; i++)
		requests[i].data = alloc(work.size);
	nodes = alloc(sizeof(*nodes) * work.count);
	mount();
	find_files();
	for (uint64_t i = param("runs", 5) + 1; i-- > 0;)
		repetition(i < param("runs", 5));
	finish();
}
