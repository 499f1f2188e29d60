/* SPDX-License-Identifier: BSD-2-Clause */
/* The entry of a guest that is entered in 64-bit mode, as Linux is: back to 32-bit code, and on as
 * from Multiboot (start.S). */
	.section .start64, "awx"
	.code64
	.global _start64
_start64:
	movl	$stack_top, %esp
	lgdt	gdt32_pointer
	pushq	$8
	pushq	$_start
	lretq

	.balign 8
gdt32:
	.quad 0
	.quad 0x00cf9b000000ffff	/* code, 32-bit, flat; the data segments stay as they are */
gdt32_end:
gdt32_pointer:
	.word gdt32_end - gdt32 - 1
	.quad gdt32

	.section .note.GNU-stack,"",@progbits
