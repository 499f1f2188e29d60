/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of a PC beside processors, memory and virtio devices: the devices at I/O ports. See
 * board.c and arch.h. */
#pragma once

#include "arch/arch.h"
#include "debug_exit.h"
#include "i8042.h"
#include "pci_ports.h"
#include "pm.h"
#include "pvpanic.h"
#include "rtc.h"
#include "uart8250.h"
#include "x86/boot.h"

struct board {
	const struct config *config; /* not owned */
	struct bus pio;              /* I/O ports: see exits.c */

	struct uart com1;
	struct i8042 i8042;
	struct rtc rtc;
	struct pvpanic pvpanic;
	struct pm pm;
	struct debug_exit debug_exit;
	struct pci_ports pci_ports;

	struct boot_entry entry; /* after board_load_kernel() */
};
