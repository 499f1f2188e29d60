/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-rng as a PCI function: configuration space by ports and by memory, a BAR that is sized,
 * moved and switched off, kicks wherever it is, and an interrupt that stays pending while it is
 * masked.
 */
#include "virtio.h"

#define SLOT1 0x8000 /* its configuration space, in ECAM */
#define LOW   0xc8000000ul
#define HIGH  0x100000000ul /* the guest has 64 MiB: the upper window begins at 4 GiB */

static uint32_t ports_read(uint32_t address)
{
	out32(0xcf8, 0x80000800 | address);
	return in32(0xcfc);
}

static volatile uint8_t *ecam(uint32_t off)
{
	return (volatile uint8_t *)(0xe0000000ul + SLOT1 + off);
}
#define CONFIG8(off)  (*ecam(off))
#define CONFIG16(off) (*(volatile uint16_t *)ecam(off))
#define CONFIG32(off) (*(volatile uint32_t *)ecam(off))

static volatile uint8_t *bar;
#define REG8(off)  (*(bar + (off)))
#define REG16(off) (*(volatile uint16_t *)(bar + (off)))
#define REG32(off) (*(volatile uint32_t *)(bar + (off)))

static void move(uint64_t to)
{
	CONFIG32(0x10) = (uint32_t)to;
	CONFIG32(0x14) = (uint32_t)(to >> 32);
	bar = (volatile uint8_t *)to;
}

/* The offset of the first capability with this id and, if it is the vendor's, this type. */
static uint32_t capability(uint8_t id, uint8_t type)
{
	for (uint32_t at = CONFIG8(0x34); at; at = CONFIG8(at + 1))
		if (CONFIG8(at) == id && (id != 9 || CONFIG8(at + 3) == type))
			return at;
	expect("capability", 0, id);
	return 0;
}

static uint32_t common, notify, table, pba;

static void up(void)
{
	REG8(common + 20) = 0;
	REG8(common + 20) = 1 | 2; /* ACKNOWLEDGE, DRIVER */
	REG32(common + 8) = 1;     /* feature bits 32 and up: VERSION_1 */
	REG32(common + 12) = 1;
	REG8(common + 20) = 1 | 2 | 8; /* FEATURES_OK */
	expect("FEATURES_OK", REG8(common + 20), 1 | 2 | 8);
	REG16(common + 16) = 0; /* vectors: configuration, */
	REG16(common + 22) = 0;
	REG16(common + 26) = 1; /* queue */
	REG16(common + 24) = 8;
	REG32(common + 32) = (uint32_t)(uintptr_t)ring.desc;
	REG32(common + 40) = (uint32_t)(uintptr_t)&ring.avail;
	REG32(common + 48) = (uint32_t)(uintptr_t)&ring.used;
	REG16(common + 28) = 1;
	REG8(common + 20) = 1 | 2 | 8 | 4; /* DRIVER_OK */
}

static void kick(void)
{
	REG16(notify) = 0;
}

/* Kicks by the capability that is a window to the BAR. */
static void kick_by_window(void)
{
	uint32_t cap = capability(9, 5);

	CONFIG8(cap + 4) = 0;
	CONFIG32(cap + 8) = notify;
	CONFIG32(cap + 12) = 2;
	CONFIG16(cap + 16) = 0;
}

static void request(void (*how)(void))
{
	static uint64_t word;
	volatile uint16_t *done = &ring.used.idx;
	uint16_t before = *done;

	ring.desc[0] = (struct desc){ (uintptr_t)&word, sizeof(word), DESC_WRITE, 0 };
	ring.avail.ring[ring.avail.idx % 8] = 0;
	__atomic_store_n(&ring.avail.idx, (uint16_t)(ring.avail.idx + 1), __ATOMIC_RELEASE);
	how();
	while (*done == before)
		;
	expect("bytes", ring.used.ring[before % 8].len, sizeof(word));
}

static void interrupts(void)
{
	uint32_t cap = capability(0x11, 0);

	CONFIG16(cap + 2) = 0xc000; /* enabled, all masked */
	expect("MSI-X control", CONFIG16(cap + 2), 0xc001);
	REG32(table + 16) = 0xfee00000;
	REG32(table + 20) = 0;
	REG32(table + 24) = 0x40;
	REG32(table + 28) = 0;
	expect("pending before", REG32(pba), 0);
	request(kick);
	while (REG32(pba) != 2) /* the used ring is written first */
		;
	CONFIG16(cap + 2) = 0x8000;
	expect("pending, but sent", REG32(pba), 0);
	REG32(table + 28) = 1;
	request(kick);
	while (REG32(pba) != 2)
		;
	REG32(table + 28) = 0;
	expect("pending, but sent again", REG32(pba), 0);
}

void guest(void)
{
	expect("host bridge", (out32(0xcf8, 0x80000000), in32(0xcfc)), 0x00081b36);
	expect("virtio-rng by ports", ports_read(0), 0x10441af4);
	expect("virtio-rng by memory", CONFIG32(0), 0x10441af4);
	expect("half of it", CONFIG16(2), 0x1044);
	expect("nobody", *(volatile uint32_t *)(0xe0000000ul + 0x10000), 0xffffffff);

	expect("BAR", ports_read(0x10), 0xc0000004);
	move(UINT64_MAX);
	expect("size of the BAR", CONFIG32(0x10), 0xffff8004);
	expect("and its upper half", CONFIG32(0x14), 0xffffffff);
	move(LOW);
	common = CONFIG32(capability(9, 1) + 8);
	notify = CONFIG32(capability(9, 2) + 8);
	table = CONFIG32(capability(0x11, 0) + 4);
	pba = CONFIG32(capability(0x11, 0) + 8);
	expect("a BAR that is off", REG16(common + 18), 0xffff);
	CONFIG16(4) = 6; /* memory, bus master */
	expect("queues", REG16(common + 18), 1);

	up();
	request(kick);
	move(LOW + 0x10000);
	expect("queues, elsewhere", REG16(common + 18), 1);
	expect("what was left", *(volatile uint16_t *)(LOW + common + 18), 0xffff);
	request(kick);
	interrupts();
	move(HIGH);
	expect("what was left again", *(volatile uint16_t *)(LOW + 0x10000 + common + 18), 0xffff);
	request(kick_by_window);
	move(LOW);
	request(kick);
	print("pci\n");
	leave(16);
}
