# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# cache.sh: the place where what was downloaded or built is kept for the next time. To be sourced.

# cache_directory NAME: makes the directory for NAME, and prints it. It is in $MINIVMM_CACHE;
# without that variable, in ${XDG_CACHE_HOME:-~/.cache}/minivmm; and if that can't be written (there
# is no home, or it is read-only), in .cache of the source tree.
cache_directory() {
	local user=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}} cache=${MINIVMM_CACHE-}
	if [[ -z $cache && -n $user ]] && mkdir -p "$user/minivmm/$1" 2>/dev/null && [[ -w $user/minivmm/$1 ]]; then
		cache=$user/minivmm
	fi
	: "${cache:=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../.cache}"
	mkdir -p "$cache/$1" && realpath "$cache/$1"
}
