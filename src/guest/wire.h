/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `minivmm run` and the init of its guest (init.c) have to say to each other.
 *
 * The guest connects to these ports of the host's (CID 2), one connection each. Control is lines of
 * text. From the guest:
 *
 *   started N     COMMAND runs, N us after init began
 *   oom           the guest's kernel killed something for want of memory
 *   full          the layer over the root has no room left
 *   warn TEXT     for people; COMMAND runs all the same
 *   error TEXT    COMMAND can't be run, for this reason; the last line
 *   exit N        it ended, with this status; the last line
 *   signal N      a signal ended it; the last line
 *
 * to the guest, first of all: "clock TSC REALTIME KHZ", what the time was when its time stamp
 * counter said TSC (clock.h); then "signal N", to COMMAND and its process group, and "size ROWS
 * COLUMNS", of its terminal.
 *
 * The guest says its last line when it has sent all of standard output and error, on the same queue
 * and before it, and has written all that is to be kept: the host stops the guest when it reads
 * that line, whatever its streams are like, and delivers what has come.
 *
 * The orders are a file in the initrd, of records "KEY=VALUE" that end with a NUL each; orders.c
 * has the list.
 */
#pragma once

#define GUEST_HOST_CID 2

enum guest_stream { GUEST_STDIN, GUEST_STDOUT, GUEST_STDERR, GUEST_CONTROL, GUEST_STREAMS };

/* Of stream n. Out of the way of what people choose. */
#define GUEST_PORT(n) (0x6d760000u + (n))

#define GUEST_FOLDER "/minivmm" /* of ours in the initrd */
#define GUEST_INIT   GUEST_FOLDER "/init"
#define GUEST_ORDERS GUEST_FOLDER "/orders"

#define GUEST_SHARE_FILE "file" /* what a share of one file has in its root */

#define GUEST_MAX_LINE    512
#define GUEST_MAX_MODULES 64
#define GUEST_MAX_SHARES  32
#define GUEST_MAX_GROUPS  64
