/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block that is logged when a guest can't go on: the reason in words, registers, control
 * registers, the bytes at RIP and the instruction that they make, the last accesses to devices, and
 * what such a stop usually means.
 */
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vmm/log.h"
#include "arch/x86/x86.h"
#include "vmm/text.h"

#define MAX_INSTRUCTION 15 /* bytes; SDM 2A §2.3.11 */
#define CR0_PE          1u
#define CR0_PG          (1u << 31)

/* Reads the bytes at RIP, as the guest's page tables map them. Returns how many there are. */
static size_t code_bytes(const struct vcpu *v, gpa_t linear, uint8_t code[MAX_INSTRUCTION])
{
	size_t n = 0;

	for (; n < MAX_INSTRUCTION; n++) {
		struct kvm_translation t = { .linear_address = linear + n };

		if (ioctl(v->fd, KVM_TRANSLATE, &t) < 0 || !t.valid ||
		    gmem_read(v->mem, t.physical_address, &code[n], 1) < 0)
			break;
	}
	return n;
}

static void print_code(FILE *f, const struct kvm_sregs *s, uint64_t rip, const uint8_t *code,
		       size_t n)
{
	char text[DISASSEMBLY];

	fprintf(f, "  code at rip:");
	for (size_t i = 0; i < n; i++)
		fprintf(f, " %02x", code[i]);
	fprintf(f, "%s\n", n ? "" : " (rip points at no guest memory)");
	if (n) {
		disassemble(s, rip, code, n, text);
		fprintf(f, "  instruction: %s\n", text);
	}
}

static void print_segment(FILE *f, const char *name, const struct kvm_segment *s)
{
	fprintf(f, "  %-3s %04x base %016llx limit %08x type %x s %u dpl %u p %u l %u db %u\n",
		name, s->selector, (ull)s->base, s->limit, s->type, s->s, s->dpl, s->present, s->l,
		s->db);
}

static void print_registers(FILE *f, const struct kvm_regs *r, const struct kvm_sregs *s)
{
	fprintf(f, "  rip %016llx  rsp %016llx  rbp %016llx  rflags %08llx\n", (ull)r->rip,
		(ull)r->rsp, (ull)r->rbp, (ull)r->rflags);
	fprintf(f, "  rax %016llx  rbx %016llx  rcx %016llx  rdx %016llx\n", (ull)r->rax,
		(ull)r->rbx, (ull)r->rcx, (ull)r->rdx);
	fprintf(f, "  rsi %016llx  rdi %016llx  r8  %016llx  r9  %016llx\n", (ull)r->rsi,
		(ull)r->rdi, (ull)r->r8, (ull)r->r9);
	fprintf(f, "  r10 %016llx  r11 %016llx  r12 %016llx  r13 %016llx\n", (ull)r->r10,
		(ull)r->r11, (ull)r->r12, (ull)r->r13);
	fprintf(f, "  r14 %016llx  r15 %016llx\n", (ull)r->r14, (ull)r->r15);
	fprintf(f, "  cr0 %016llx  cr2 %016llx  cr3 %016llx  cr4 %016llx\n", (ull)s->cr0,
		(ull)s->cr2, (ull)s->cr3, (ull)s->cr4);
	fprintf(f, "  cr8 %016llx  efer %016llx  apic base %016llx\n", (ull)s->cr8, (ull)s->efer,
		(ull)s->apic_base);
	print_segment(f, "cs", &s->cs);
	print_segment(f, "ds", &s->ds);
	print_segment(f, "ss", &s->ss);
	print_segment(f, "tr", &s->tr);
	fprintf(f, "  gdt %016llx limit %04x  idt %016llx limit %04x\n", (ull)s->gdt.base,
		s->gdt.limit, (ull)s->idt.base, s->idt.limit);
}

/* Are the registers as a reset leaves them (SDM 3A table 10-1)? RDX is not compared, nor what an
 * INIT keeps of CR0. A guest that has run a few instructions is never like that. */
static bool are_reset(const struct kvm_regs *r, const struct kvm_sregs *s)
{
	return r->rip == 0xfff0 && r->rflags == 2 && !(r->rsp | r->rax | r->rbx) &&
	       s->cs.selector == 0xf000 && s->cs.base == 0xffff0000 &&
	       !(s->cr0 & (CR0_PE | CR0_PG));
}

static bool same_place(const struct vcpu_access *a, const struct vcpu_access *b)
{
	return a->addr == b->addr && a->size == b->size && a->mmio == b->mmio &&
	       a->write == b->write;
}

/* Accesses in a row to the same place, as for a console's text, share a line. */
static void print_accesses(FILE *f, const struct vcpu *v)
{
	const unsigned nr = min(v->nr_accesses, (unsigned)VCPU_ACCESSES);
	const struct vcpu_access *last = NULL;

	fprintf(f, nr ? "  its last accesses to devices, the latest at the end:"
		      : "  it has not accessed a device before");
	for (unsigned i = v->nr_accesses - nr; i != v->nr_accesses; i++) {
		const struct vcpu_access *a = &v->access[i % VCPU_ACCESSES];

		if (!last || !same_place(a, last))
			fprintf(f, "\n    %-5s %s 0x%llx, %u byte%s:", a->write ? "write" : "read",
				a->mmio ? "memory" : "port", (ull)a->addr, a->size,
				a->size == 1 ? "" : "s");
		fprintf(f, " 0x%llx", (ull)a->value);
		last = a;
	}
	fputc('\n', f);
}

void explain_state(FILE *f, const struct vcpu *v, const struct kvm_regs *r,
		   const struct kvm_sregs *s)
{
	uint8_t code[MAX_INSTRUCTION];

	print_registers(f, r, s);
	if (v->run_page->exit_reason == KVM_EXIT_SHUTDOWN && are_reset(r, s))
		fprintf(f,
			"  These are the registers after a reset: KVM on AMD resets a processor before it reports its shutdown. What they were before is lost.\n");
	else
		print_code(f, s, r->rip, code, code_bytes(v, s->cs.base + r->rip, code));
	print_accesses(f, v);
}

/* Looks at the host's own CPUID for VT-x or AMD-V. Without them KVM interprets what the guest's
 * kernel does. */
static bool host_has_virtualization(void)
{
	uint32_t eax, ebx, ecx, edx;

	__asm__("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(1), "c"(0));
	if (ecx & 1u << 5) /* VMX */
		return true;
	__asm__("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(0x80000001), "c"(0));
	return ecx & 1u << 2; /* SVM */
}

static const char *usual_meaning(void)
{
	if (!host_has_virtualization())
		return "This host has neither VT-x nor AMD-V: its KVM interprets guest kernels and lacks this instruction, so it can't run this one. Use a host with VT-x or AMD-V, or tests/testbed/testbed (see 'minivmm doctor').";
	return "The guest ran into memory or a state that KVM can't emulate: often a jump to an address with no RAM, or a kernel that needs a device or CPU feature that is not there.";
}

void vcpu_explain(struct vcpu *v, const char *why, const char *hint)
{
	struct kvm_regs regs = { 0 };
	struct kvm_sregs sregs = { 0 };
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	fprintf(f, "minivmm: vCPU %u stopped: %s\n", v->id, why);
	if (ioctl(v->fd, KVM_GET_REGS, &regs) == 0 && ioctl(v->fd, KVM_GET_SREGS, &sregs) == 0)
		explain_state(f, v, &regs, &sregs);
	fprintf(f, "  %s\n", hint ? hint : usual_meaning());
	if (text_end(f, &text))
		log_block(LOG_ERROR, text);
	free(text);
}
