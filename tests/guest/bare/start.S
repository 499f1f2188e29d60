/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How every bare-metal guest starts: a Multiboot header with address fields, then 32-bit code that
 * maps the first 4 GiB one to one, enters long mode and goes to user mode, where guest() may touch
 * device memory and, by the TSS's permission bitmap (SDM 1 §19.5.2), all ports. It is user mode
 * because a KVM without VT-x/AMD-V runs that at full speed.
 *
 * There is no interrupt table: any exception is a triple fault. multiboot_info is the address of
 * what the loader says.
 */
#define MAGIC 0x1badb002
#define FLAGS (1 << 16) /* the address fields below count */

#define SELECTOR_CODE 0x08
#define SELECTOR_USER_CODE (0x10 | 3)
#define SELECTOR_USER_DATA (0x18 | 3)
#define SELECTOR_TSS 0x20
#define RFLAGS 2

#define TSS_BITMAP 104 /* offset of the bitmap; 8 KiB of zeroes, and a byte of ones at its end */
#define TSS_LIMIT (TSS_BITMAP + 8192)

	.section .start, "awx"
	.balign 4
header:
	.long MAGIC, FLAGS, -(MAGIC + FLAGS)
	.long header, header, image_end, bss_end, _start

	.code32
	.global _start
_start:
	movl	$stack_top, %esp
	movl	%ebx, multiboot_info
	movl	$pdpt + 7, pml4		/* present, writable, user */
	movl	$4, %ecx
	movl	$pdpt, %edi
	movl	$pd + 7, %eax
1:	movl	%eax, (%edi)
	addl	$4096, %eax
	addl	$8, %edi
	loop	1b
	movl	$2048, %ecx
	movl	$pd, %edi
	movl	$0x87, %eax		/* the same, 2 MiB */
2:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	2b

	movw	$TSS_BITMAP, tss + 102
	movb	$0xff, tss + TSS_LIMIT
	movl	$tss, %eax
	movw	%ax, gdt_tss + 2
	shrl	$16, %eax
	movb	%al, gdt_tss + 4
	movb	%ah, gdt_tss + 7

	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER */
	rdmsr
	orl	$0x100, %eax		/* LME */
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax	/* PG */
	movl	%eax, %cr0
	lgdt	gdt_pointer
	ljmp	$SELECTOR_CODE, $long_mode

	.code64
long_mode:
	movw	$SELECTOR_TSS, %ax
	ltr	%ax
	pushq	$SELECTOR_USER_DATA
	pushq	$stack_top
	pushq	$RFLAGS
	pushq	$SELECTOR_USER_CODE
	pushq	$user_mode
	iretq
user_mode:
	call	guest
	ud2				/* guest() must not return */

	.balign 8
gdt:
	.quad 0
	.quad 0x00209b0000000000	/* code, 64-bit */
	.quad 0x0020fb0000000000	/* code, 64-bit, user */
	.quad 0x0000f30000000000	/* data, user */
gdt_tss:
	.word TSS_LIMIT, 0		/* the base is filled in above */
	.byte 0, 0x89, 0, 0
	.quad 0
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt

	.section .note.GNU-stack,"",@progbits
	.bss
	.balign 4096
pml4:	.skip 4096
pdpt:	.skip 4096
pd:	.skip 4 * 4096
tss:	.skip TSS_LIMIT + 1
	.balign 4
	.global multiboot_info
multiboot_info:
	.skip 4
	.balign 16
	.skip 16384
	.global stack_top
stack_top:
