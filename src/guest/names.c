/* SPDX-License-Identifier: BSD-2-Clause */
#include "names.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/stat.h>

void names_add(struct names *n, const struct dhcp_lease *lease)
{
	for (size_t i = 0; i < lease->nr_dns && n->nr_servers < NAMES_MAX_SERVERS; i++)
		n->server[n->nr_servers++] = lease->dns[i];
	dhcp_add_search(n->search, lease->search, strlen(lease->search));
}

/* In overlayfs, only directories always have its own device number. */
bool names_directory_is_ours(const char *root, const char *directory)
{
	struct stat own, st;

	return stat(root, &own) == 0 && (stat(directory, &st) < 0 || st.st_dev == own.st_dev);
}

void names_print(const struct names *n, FILE *f)
{
	/* The C library doesn't read a fourth server, so the IPv6 one takes the place of
	 * another. */
	const size_t most = NAMES_MAX_SERVERS - (n->server6 != NULL);

	if (n->server6 && n->first6)
		fprintf(f, "nameserver %s\n", n->server6);
	for (size_t i = 0; i < n->nr_servers && i < most; i++) {
		char text[INET_ADDRSTRLEN];

		inet_ntop(AF_INET, &n->server[i], text, sizeof(text));
		fprintf(f, "nameserver %s\n", text);
	}
	if (n->server6 && !n->first6)
		fprintf(f, "nameserver %s\n", n->server6);
	if (n->search[0])
		fprintf(f, "search %s\n", n->search);
	if (n->options)
		fprintf(f, "options %s\n", n->options);
}
