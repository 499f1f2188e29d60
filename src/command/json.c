/* SPDX-License-Identifier: BSD-2-Clause */
/* --json: how a command ended and what it took, as one object. It has only numbers and words of
 * ours, so that nothing needs to be quoted. (cJSON, in Debian, has no static library.) */
#include "command/command.h"
#include "vmm/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define PATIENCE_MS 5000 /* how long a slow reader is waited for */

static uint64_t exits(const struct machine_figures *f)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < f->nr_vcpus; i++)
		for (unsigned r = 0; r < FIGURES_EXITS; r++)
			sum += f->vcpu[i].exits[r];
	return sum;
}

static const char *how(const struct command *cmd, enum machine_end end)
{
	if (cmd->timed_out)
		return "timeout";
	switch (cmd->ended) {
	case COMMAND_EXITED:
		return "exit";
	case COMMAND_SIGNALLED:
		return "signal";
	case COMMAND_ERROR:
		return "error";
	case COMMAND_UNKNOWN:
		break;
	}
	return end == END_KILLED ? "stopped" : "crash";
}

/* Writes how the time from the machine's beginning to now was spent; steps that it didn't reach are
 * null. */
static void put_times(const struct command *cmd, const struct machine_figures *f, FILE *out)
{
	const int64_t begin = f->times.begin, now = (int64_t)monotonic_ns();
	const int64_t entered = f->first_run_ns;
	const int64_t started = (int64_t)cmd->started_ns, ended = (int64_t)cmd->ended_ns;
	const struct {
		const char *name;
		bool there;
		int64_t us;
	} step[] = {
		{ "monitor", entered, (entered - begin) / 1000 },
		{ "kernel", started, (started - entered) / 1000 - cmd->init_us },
		{ "init", started, cmd->init_us },
		{ "command", started && ended, (ended - started) / 1000 },
		{ "end", ended, (now - ended) / 1000 },
		{ "total", true, (now - begin) / 1000 },
	};

	fprintf(out, "  \"times_us\": {");
	for (size_t i = 0; i < ARRAY_SIZE(step); i++) {
		fprintf(out, "%s\"%s\": ", i ? ", " : "", step[i].name);
		if (step[i].there)
			fprintf(out, "%lld", (long long)step[i].us);
		else
			fprintf(out, "null");
	}
	fprintf(out, "},\n");
}

static void put_bytes(const struct machine_figures *f, FILE *out)
{
	static const char *const names[] = { "stdin", "stdout", "stderr" };

	fprintf(out, "  \"bytes\": {");
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		fprintf(out, "%s\"%s\": %llu", i ? ", " : "", names[i],
			(unsigned long long)(i == GUEST_STDIN ? f->stream[i].to_guest
							      : f->stream[i].from_guest));
	fprintf(out, "},\n");
}

int command_empty_json(struct command *cmd)
{
	const char *path = cmd->config->command.json;
	int rc;

	cmd->json = (struct command_json){ .out.fd = -1, .path = path };
	rc = path ? output_open(&cmd->json.out, path, O_TRUNC) : 0;
	return rc < 0 ? log_ret(rc, "--json %s: %s", path, output_error(rc)) : 0;
}

static void put_all(const struct command *cmd, const struct machine_figures *f, FILE *out)
{
	fprintf(out, "{\n  \"status\": %d,\n  \"end\": \"%s\",\n  \"signal\": ", f->status,
		how(cmd, f->end));
	if (cmd->ended == COMMAND_SIGNALLED)
		fprintf(out, "%d,\n", cmd->value);
	else
		fprintf(out, "null,\n");
	fprintf(out, "  \"out_of_memory\": %s,\n  \"overlay_full\": %s,\n",
		cmd->oom ? "true" : "false", cmd->full ? "true" : "false");
	put_times(cmd, f, out);
	put_bytes(f, out);
	fprintf(out, "  \"memory\": %llu,\n  \"peak_memory\": %llu,\n  \"exits\": %llu\n}\n",
		(unsigned long long)f->memory, (unsigned long long)f->peak_memory,
		(unsigned long long)exits(f));
}

/* A regular file is written at once. If others write there, too, ours comes after what they write
 * now; and what there is no room for waits until nobody waits for the guest any more: see
 * command_json_finish(). */
void command_write_json(struct command *cmd, const struct machine_figures *f)
{
	struct command_json *j = &cmd->json;
	ssize_t n = 0;
	FILE *out;

	if (!cmd->config->command.json || j->out.fd < 0)
		return;
	out = open_memstream(&j->text, &j->len);
	if (out)
		put_all(cmd, f, out);
	if (!out || !text_end(out, &j->text)) {
		log_errno("--json %s", j->path);
		j->lost = true;
		return;
	}
	if (j->out.regular && ftruncate(j->out.fd, 0) < 0) /* somebody may have changed it */
		log_errno("--json %s", j->path);
	if (!j->out.given)
		n = output_write(&j->out, j->text, j->len);
	j->done = n > 0 ? (size_t)n : 0;
	if (j->done == j->len || j->out.regular || (n < 0 && n != -EAGAIN))
		(void)!command_json_finish(j);
}

struct command_json command_take_json(struct command *cmd)
{
	const struct command_json j = cmd->json;

	cmd->json = (struct command_json){ .out.fd = -1 };
	return j;
}

bool command_json_waits(const struct command_json *j)
{
	return j->text && j->done < j->len;
}

int command_json_finish(struct command_json *j)
{
	int rc = 0;

	if (command_json_waits(j))
		rc = output_write_all(&j->out, j->text + j->done, j->len - j->done, PATIENCE_MS);
	if (rc < 0)
		log_ret(rc, "--json %s: %s", j->path,
			rc == -ETIMEDOUT ? "its reader is too slow: it is not complete"
					 : strerrordesc_np(-rc));
	output_close(&j->out);
	free(j->text);
	j->text = NULL;
	/* A reader that has gone, or doesn't read, is one that wants no more. */
	j->lost |= rc < 0 && rc != -EPIPE && rc != -ETIMEDOUT;
	return j->lost ? -EIO : 0;
}
