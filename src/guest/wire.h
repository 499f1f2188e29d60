/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `minivmm run` and the init of its guest (init.c) say to each other.
 *
 * The guest connects to these ports of the host's (CID 2), one connection each. Control carries
 * lines of text. From the guest:
 *
 *   started N     COMMAND runs, N us after init began
 *   oom           the guest's kernel killed something for want of memory
 *   full          the layer over the root has no room left
 *   warn TEXT     for people; COMMAND runs all the same
 *   error TEXT    COMMAND can't be run, for this reason; the last line
 *   exit N        it ended, with this status; the last line
 *   signal N      a signal ended it; the last line
 *
 * To the guest:
 *
 *   clock COUNTER REALTIME KHZ
 *                 the first line: what the time was when its counter said COUNTER (clock.h)
 *   signal N      for COMMAND and its process group
 *   size ROWS COLUMNS
 *                 the size of COMMAND's terminal
 *
 * The guest sends its last line after all of standard output and error, on the same queue, and when
 * all that must be kept is written: the host stops the guest when it reads that line, whatever
 * state its streams are in, and delivers what has come.
 *
 * The orders are a file in the initrd: records "KEY=VALUE", each with a NUL at its end. orders.c
 * has the list.
 */
#pragma once

#define GUEST_HOST_CID 2

enum guest_stream { GUEST_STDIN, GUEST_STDOUT, GUEST_STDERR, GUEST_CONTROL, GUEST_STREAMS };

/* The port of stream n. These numbers are unlikely to be chosen by people. */
#define GUEST_PORT(n) (0x6d760000u + (n))

#define GUEST_DIRECTORY "/minivmm" /* our directory in the initrd */
#define GUEST_INIT      GUEST_DIRECTORY "/init"
#define GUEST_ORDERS    GUEST_DIRECTORY "/orders"

#define GUEST_SHARE_FILE "file" /* the file's name in the root of a share of one file */

#define GUEST_MAX_LINE    512
#define GUEST_MAX_MODULES 64
#define GUEST_MAX_SHARES  32
#define GUEST_MAX_GROUPS  64
