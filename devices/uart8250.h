/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 16550A UART: the serial port of a PC (National Semiconductor NS16550AF data sheet, 1995).
 *
 * Modelled: all registers, the four interrupt sources with their priorities and clearing rules,
 * both 16-byte FIFOs, loopback, modem status with deltas, break.
 * Differences from the chip, all in the guest's favour:
 *  - the line has no speed: the divisor and word format are stored and mean nothing, a character
 *    timeout comes at once, a transmitted byte is gone at once unless the host's reader is slow;
 *  - nothing is lost: input is pulled when the receiver has room, so that only loopback can
 *    overrun; THRE stays 0 while the host's reader is slow, and a driver that writes to the full
 *    transmitter nevertheless waits;
 *  - a driver that clears the receiver while RTS and ERBFI are off is not listening yet (so Linux
 *    probes and opens a port). What was received is kept for it until it sets one of them; turning
 *    the FIFOs on or off clears nothing;
 *  - in loopback the receiver shows what was sent in loopback only;
 *  - the interrupt does not depend on OUT2, which simple kernels forget (xv6).
 * Missing: DMA mode, a break sent by the guest, parity and framing errors.
 */
#pragma once

#include "vmm/bus.h"
#include "vmm/irq.h"
#include "vmm/stream.h"

#define UART_PORTS     8
#define UART_FIFO_SIZE 16
#define UART_FIFO_ROOM 128 /* with uart_make_room(): room for one more byte from each vCPU */

struct uart_fifo {
	uint16_t entry[UART_FIFO_ROOM]; /* a byte, or a break */
	uint8_t head, len;
};

struct uart {
	struct dev dev;
	struct irq_line irq;
	struct stream *backend; /* NULL: none; not owned */
	pthread_cond_t room;    /* signalled when tx has room, or stopping is set */
	unsigned tx_room;       /* UART_FIFO_SIZE, or UART_FIFO_ROOM */
	bool stopping;

	/* What a guest can see: all that a snapshot needs. */
	struct uart_state {
		uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
		uint8_t msr;             /* lines and deltas */
		struct uart_fifo rx, tx; /* tx is empty unless the backend is slow */
		struct uart_fifo loop;   /* the receiver while in loopback */
		bool overrun;            /* LSR OE */
		bool timeout;     /* a character time has passed since the receiver was last read */
		bool thr_emptied; /* the THRE interrupt is pending */
		bool deaf;        /* cleared while RTS was off; RTS and ERBFI are still off */
		bool irq_level;   /* what the line was last set to */
	} state;
};

/* A UART on the UART_PORTS ports of its range. Its line is edge-triggered: every new condition
 * after IIR said "none" is a new edge. *irq is copied; backend must outlive the UART, unless it is
 * NULL. */
void uart_init(struct uart *u, const struct irq_line *irq, struct stream *backend);

/* Wakes and releases vCPUs that wait for room to transmit, from now on. May be called
 * on any thread that holds no device's lock. */
void uart_stop(struct uart *u);

/* While on is set, a vCPU that would wait for room to transmit leaves its byte after the others and
 * doesn't wait. This is for vCPUs that are asked to pause, so that they can be parked: each of them
 * writes once more at most. Otherwise vCPUs wait until there are fewer bytes than a FIFO holds. May
 * be called on any thread that holds no device's lock. */
void uart_make_room(struct uart *u, bool on);

/* Hands the last bytes to the backend (which may flush: stream.h). Afterwards the backend may be
 * destroyed before the UART. Called when no vCPU and no loop runs. */
void uart_detach(struct uart *u);

/* Also detaches. */
void uart_destroy(struct uart *u);
