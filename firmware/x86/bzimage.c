/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bzImage, x86 boot protocol 2.06 and newer (Documentation/arch/x86/boot.rst).
 *
 * The file is real-mode code with the setup header in it, then protected-mode code: a decompressor
 * of its own, around a compressed vmlinux. There are three ways in; the first one that works is
 * taken:
 *
 * 1. We unpack the vmlinux into guest RAM and enter that (from protocol 2.08, which tells where the
 *    payload is). So that nothing is copied twice, it is unpacked to an address at which its first
 *    segment is in place already. The others are moved down over the gaps, and the rest is wiped:
 *
 *      unpacked  | headers | segment 0 |gap| segment 1 |gap| segment 2 | symbols, relocations |
 *                          ^ linked address
 *      in place            | segment 0 |gap| segment 1 | segment 2 | bss
 *
 *    The kernel then runs where it is linked to run, so its relocations aren't needed.
 * 2. The decompressor's 64-bit entry point, which is also the way to KASLR (from protocol 2.12,
 *    which tells whether there is one).
 * 3. Its 32-bit entry point, if the protocol is older than 2.12. An image that starts in real mode
 *    (iPXE's) has none, and asks a BIOS for everything; it is refused.
 */
#include <asm/bootparam.h>
#include <ctype.h>
#include <stdio.h>

#include "decompress.h"
#include "x86/boot_impl.h"

#define HEADER_AT     0x1f1
#define MAGIC_AT      0x202
#define MAGIC         "HdrS"
#define VERSION_AT    0x20e /* offset of the version text, counted from VERSION_FROM */
#define VERSION_FROM  0x200
#define VERSION_MAX   256 /* more than anybody reads of that text */
#define SECTOR        512
#define PARAGRAPH     16
#define ENTRY64       0x200     /* from the beginning of the protected-mode code */
#define OLD_ADDRESS   (1 * MIB) /* before protocol 2.10 */
#define SEGMENT_ALIGN (2 * MIB) /* the first segment's offset in an x86-64 vmlinux */
#define EXPANSION     4         /* a guess: unpacked size over packed, before protocol 2.10 */

struct bzimage {
	struct setup_header h; /* a copy; fields that the protocol is too old for are zero */
	const uint8_t *code;   /* the protected-mode part */
	uint64_t code_len;
	gpa_t address; /* where it wants to be */
	uint64_t room; /* how many bytes it needs there */
};

bool boot_image_fits(const struct boot_image *i, const struct gmem *mem)
{
	const uint64_t pages = i->end - i->start;

	return (i->start | i->end) % BOOT_PAGE == 0 && i->start >= BOOT_HIGH && i->start < i->end &&
	       i->end <= UINT32_MAX && i->kernel_end <= UINT32_MAX && i->kernel_start >= i->start &&
	       i->kernel_start < i->end && i->end <= align_up(i->kernel_end, BOOT_PAGE) &&
	       i->floor >= i->kernel_end && i->floor <= UINT32_MAX && i->entry >= i->kernel_start &&
	       i->entry < i->end && i->room_start < i->room_end &&
	       gmem_slice(mem, i->start, pages) &&
	       gmem_slice(mem, i->kernel_start, i->kernel_end - i->kernel_start) &&
	       gmem_slice(mem, i->room_start, i->room_end - i->room_start);
}

bool bzimage_is(const struct boot_request *r)
{
	const uint8_t *p = r->kernel;

	return r->kernel_len >= MAGIC_AT + 4 && !memcmp(p + MAGIC_AT, MAGIC, 4) &&
	       p[0x1fe] == 0x55 && p[0x1ff] == 0xaa;
}

/* A header may say what the image is: "6.1.0-56-cloud-amd64 (…" if it is Linux, and something that
 * doesn't begin with a digit, such as "Memtest86+ v6.10" or "iPXE 1.21", if it is not. It needn't
 * (0). */
bool bzimage_is_linux(const struct boot_request *r)
{
	const uint8_t *file = r->kernel;
	uint64_t at;

	if (r->kernel_len < VERSION_AT + 2 || !(at = load_le(file + VERSION_AT, 2)))
		return true;
	at += VERSION_FROM;
	return at < r->kernel_len && isdigit(file[at]);
}

/* The header ends where the jump at 0x200 leads to. */
static int read_header(const struct boot_request *r, struct bzimage *b)
{
	const uint8_t *file = r->kernel;
	size_t end = MAGIC_AT + file[0x201], len = min(end - HEADER_AT, sizeof(b->h));

	if (r->kernel_len < HEADER_AT + len)
		return boot_refuse(r, "is cut short in its header");
	memcpy(&b->h, file + HEADER_AT, len);
	if (b->h.version < 0x0206)
		return boot_refuse(
			r,
			"has boot protocol %u.%02u; 2.06 (Linux 2.6.22) is the oldest that minivmm knows",
			b->h.version >> 8, b->h.version & 0xff);
	if (HEADER_AT + len < 0x23c) /* the last field of 2.06 */
		return boot_refuse(r, "is damaged: its header is too short for its boot protocol");
	if (!(b->h.loadflags & LOADED_HIGH))
		return boot_refuse(r, "is a zImage; minivmm loads bzImages");
	if (b->h.version >= 0x020c && !(b->h.xloadflags & XLF_KERNEL_64))
		return boot_refuse(r, "is a 32-bit kernel; minivmm runs x86-64 kernels");
	return 0;
}

static int read_image(const struct boot_request *r, struct bzimage *b)
{
	int rc = read_header(r, b);

	if (rc < 0)
		return rc;
	uint64_t setup_len = ((b->h.setup_sects ?: 4) + 1) * SECTOR;
	uint64_t code_len = b->h.syssize * (uint64_t)PARAGRAPH; /* rounded up */

	if (code_len <= ENTRY64)
		return boot_refuse(r, "is damaged: it has no protected-mode code");
	if (r->kernel_len <= setup_len || r->kernel_len - setup_len <= code_len - PARAGRAPH)
		return boot_refuse(r, "is cut short: %zu bytes of %llu", r->kernel_len,
				   (unsigned long long)(setup_len + code_len));
	code_len = min(code_len, r->kernel_len - setup_len);
	b->code = (const uint8_t *)r->kernel + setup_len;
	b->code_len = code_len;
	if (b->h.version >= 0x020a) {
		b->address = b->h.pref_address;
		b->room = max((uint64_t)b->h.init_size, code_len);
	} else {
		b->address = OLD_ADDRESS;
		b->room = code_len * EXPANSION;
	}
	if (b->address > UINT32_MAX || b->room > UINT32_MAX - b->address)
		return boot_refuse(r, "wants to be loaded above 4 GiB");
	return 0;
}

/* Can the segments be moved to their places one after the other, each to a lower address? */
static bool moves_down(const struct elf *elf, gpa_t base)
{
	uint64_t offset = 0;
	gpa_t paddr = 0;

	for (unsigned i = 0; i < elf->nr; i++) {
		const struct elf_segment *s = &elf->seg[i];

		if (s->offset < offset || s->paddr < paddr || s->paddr > base + s->offset)
			return false;
		offset = s->offset + s->filesz;
		paddr = s->paddr + s->memsz;
	}
	return true;
}

static void wipe(const struct boot_request *r, gpa_t start, gpa_t end)
{
	if (start < end)
		memset(gmem_slice(r->mem, start, end - start), 0, end - start);
}

/* Moves the segments to their places. [base, end) has the file; elf's segments were checked by
 * moves_down(). Nothing is overwritten before it is moved: the places are disjoint, in order, and
 * each is below where its segment comes from. */
static void spread(const struct boot_request *r, const struct elf *elf, gpa_t base, gpa_t end)
{
	gpa_t done = base;

	for (unsigned i = 0; i < elf->nr; i++) {
		const struct elf_segment *s = &elf->seg[i];
		gpa_t src = base + s->offset;

		if (s->paddr != src && s->filesz)
			memmove(gmem_slice(r->mem, s->paddr, s->filesz),
				gmem_slice(r->mem, src, s->filesz), s->filesz);
		boot_clear(r, s->paddr + s->filesz, s->paddr + s->memsz);
		wipe(r, done, min(s->paddr, end));
		done = max(base, s->paddr + s->filesz);
	}
	wipe(r, done, end);
}

/* Fills *elf and *entry from the unpacked payload. Returns NULL, or why it can't be used. */
static const char *look_at_payload(struct elf *elf, const uint8_t *host, uint64_t size, gpa_t base,
				   uint64_t *entry)
{
	const char *why = boot_parse_elf(elf, host, size);

	if (!why && !moves_down(elf, base))
		why = "unusual layout";
	return why ?: elf_locate_entry(elf, entry);
}

/* The compressed vmlinux, and where it is unpacked. */
struct payload {
	const struct codec *codec;
	const uint8_t *data;
	uint64_t len, size; /* size: unpacked */
	gpa_t base;
	uint8_t *host; /* there */
};

/* Says why the payload can't be entered. */
static int not_this_way(const char **why, const char *reason)
{
	*why = reason;
	return 0;
}

/* Returns what enter_payload() does. */
static int find_payload(const struct boot_request *r, const struct bzimage *b, struct payload *p,
			const char **why)
{
	const uint64_t at = b->h.payload_offset, len = b->h.payload_length;

	if (b->h.version < 0x0208 || !len)
		return not_this_way(why, "no payload named");
	if (at > b->code_len || len > b->code_len - at || len < 8)
		return boot_refuse(r, "is damaged: its payload lies outside the file");
	p->data = b->code + at;
	p->len = len;
	p->codec = codec_find(p->data, len);
	if (!p->codec)
		return not_this_way(why, "unknown compression");
	if (!p->codec->unpack)
		return not_this_way(why, p->codec->library);
	p->size = load_le(p->data + len - 4, 4); /* Linux's build appends the length */
	p->base = b->address >= SEGMENT_ALIGN + BOOT_HIGH ? b->address - SEGMENT_ALIGN : b->address;
	p->host = boot_room(r, p->base, p->size, "unpacked kernel");
	return p->host ? 1 : -ENOEXEC;
}

static int unpack(const struct boot_request *r, struct boot_entry *e, const struct payload *p)
{
	uint64_t start = monotonic_ns();
	int rc = p->codec->unpack(p->data, p->len, p->host, p->size);

	e->placed.decompress_ns = monotonic_ns() - start;
	if (rc == -ENOMEM)
		return log_ret(rc, "kernel %s: no memory to unpack it", r->kernel_name);
	if (rc < 0)
		return boot_refuse(r, "is damaged: its %s payload doesn't unpack", p->codec->name);
	return 0;
}

/* Describes the kernel for later starts, which have only the head of its file. The version text
 * must be in that head. */
static void describe_image(const struct boot_request *r, struct boot_entry *e,
			   const struct bzimage *b, const struct elf *elf, const struct payload *p)
{
	const uint64_t setup_len = (uint64_t)(b->code - r->kernel);
	const uint64_t head = max(setup_len, (uint64_t)BOOT_PAGE);
	const uint64_t head_len = min(head, r->kernel_len);
	const uint64_t text_end = load_le(r->kernel + VERSION_AT, 2) + VERSION_FROM + VERSION_MAX;
	gpa_t end = 0;

	for (unsigned i = 0; i < elf->nr; i++)
		end = max(end, elf->seg[i].paddr + elf->seg[i].filesz);
	if (text_end > head_len || e->placed.kernel_start < BOOT_HIGH)
		return;
	e->placed.image = (struct boot_image){
		.start = e->placed.kernel_start & ~(BOOT_PAGE - 1),
		.end = align_up(end, BOOT_PAGE),
		.kernel_start = e->placed.kernel_start,
		.kernel_end = e->placed.kernel_end,
		.room_start = p->base,
		.room_end = p->base + p->size,
		.entry = e->rip,
		.floor = max(e->placed.kernel_end, b->address + b->room),
		.head_len = head_len,
	};
}

/* The first way in. Returns 1; 0 with *why if the payload can't be used; or -errno. */
static int enter_payload(const struct boot_request *r, struct boot_entry *e,
			 const struct bzimage *b, const char **why)
{
	struct payload p = { 0 };
	struct elf elf;
	uint64_t entry;
	int rc = find_payload(r, b, &p, why);

	if (rc <= 0)
		return rc;
	rc = unpack(r, e, &p);
	if (rc < 0)
		return rc;
	*why = look_at_payload(&elf, p.host, p.size, p.base, &entry);
	if (*why)
		return wipe(r, p.base, p.base + p.size), 0;
	if (!elf.is64)
		return boot_refuse(r, "is a 32-bit kernel; minivmm runs x86-64 kernels");
	rc = boot_check_segments(r, e, &elf, entry);
	if (rc < 0)
		return rc;
	spread(r, &elf, p.base, p.base + p.size);
	e->mode = BOOT_LONG64;
	e->rip = entry;
	snprintf(e->placed.how, sizeof(e->placed.how), "bzImage, %s payload unpacked by minivmm",
		 p.codec->name);
	describe_image(r, e, b, &elf, &p);
	return 1;
}

/* The first way in, when an earlier start has done it: the kernel is where it runs. */
static int enter_image(const struct boot_request *r, struct boot_entry *e)
{
	const struct boot_image *i = r->image;
	struct bzimage b = { 0 };
	int rc = read_header(r, &b);

	if (rc < 0)
		return rc;
	e->placed.kernel_start = i->kernel_start;
	e->placed.kernel_end = i->kernel_end;
	e->mode = BOOT_LONG64;
	e->rip = i->entry;
	snprintf(e->placed.how, sizeof(e->placed.how),
		 "bzImage, unpacked by minivmm at an earlier start");
	return linux_put_params(r, e, &b.h, i->floor);
}

/* The second and third way in: the kernel's own decompressor, at the address that it wants. */
static int enter_decompressor(const struct boot_request *r, struct boot_entry *e, struct bzimage *b,
			      const char *why)
{
	bool old = b->h.version < 0x020c;
	void *host;

	if (old && !b->h.code32_start)
		return boot_refuse(r, "starts in real mode and needs a BIOS; minivmm has none");
	host = boot_room(r, b->address, b->room, "own decompressor");
	if (!host)
		return -ENOEXEC;
	memcpy(host, b->code, b->code_len);
	e->placed.kernel_start = b->address;
	e->placed.kernel_end = b->address + b->room;
	b->h.code32_start = (uint32_t)b->address;
	e->mode = old ? BOOT_PROT32 : BOOT_LONG64;
	e->rip = b->address + (old ? 0 : ENTRY64);
	snprintf(e->placed.how, sizeof(e->placed.how),
		 "bzImage, unpacks itself from its %s-bit entry point (%s)", old ? "32" : "64",
		 why);
	return 0;
}

int bzimage_load(const struct boot_request *r, struct boot_entry *e)
{
	struct bzimage b = { 0 };
	const char *why = "--kaslr";
	int rc;

	if (r->image)
		return enter_image(r, e);
	rc = read_image(r, &b);
	if (rc < 0)
		return rc;
	if (!r->kaslr && (rc = enter_payload(r, e, &b, &why)) < 0)
		return rc;
	if (rc == 0 && (rc = enter_decompressor(r, e, &b, why)) < 0)
		return rc;
	return linux_put_params(r, e, &b.h, max(e->placed.kernel_end, b.address + b.room));
}
