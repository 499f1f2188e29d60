/* SPDX-License-Identifier: BSD-2-Clause */
/* The guests' init as data: src/guest/blob.h. */
	.section .rodata
	.globl guest_init, guest_init_end
	.balign 16
guest_init:
	.incbin INIT
guest_init_end:
	.section .note.GNU-stack, "", @progbits
