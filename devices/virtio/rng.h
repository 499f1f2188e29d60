/* SPDX-License-Identifier: BSD-2-Clause */
/* virtio-rng: one queue, no features of its own, no state. virtio_init(&vd, &virtio_rng_ops, 0). */
#pragma once

#include "vmm/virtio.h"

extern const struct virtio_ops virtio_rng_ops;
