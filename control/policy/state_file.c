/* SPDX-License-Identifier: BSD-3-Clause */
#include "state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compile.h"

static int write_all(int fd, const void *data, size_t bytes)
{
	const char *at = data;
	while (bytes) {
		const ssize_t n = write(fd, at, bytes);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			bytes -= (size_t)n;
		}
	}
	return 0;
}

/* The rename itself is on disk only once its directory is. */
static int sync_directory(const char *path)
{
	char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	const int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	if (fd < 0)
		return -errno;
	const int result = fsync(fd) < 0 && errno != EINVAL ? -errno : 0; /* EINVAL: a file system that cannot */
	close(fd);
	return result;
}

int sw_write_file(const char *path, const void *data, size_t bytes, mode_t mode)
{
	char temporary[4096];
	if (snprintf(temporary, sizeof(temporary), "%s.tmp-XXXXXX", path) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	const int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int result = write_all(fd, data, bytes);
	if (!result && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		result = -errno;
	if (close(fd) < 0 && !result)
		result = -errno;
	if (!result && rename(temporary, path) < 0)
		result = -errno;
	if (result) {
		unlink(temporary);
		return result;
	}
	return sync_directory(path);
}

int sw_make_directory(const char *path, mode_t mode)
{
	char copy[4096];
	struct stat status;
	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
		return -ENAMETOOLONG;
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	if (mkdir(copy, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	return stat(copy, &status) < 0 ? -errno : S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

struct sw_snapshot_header *sw_snapshot_read(const char *path)
{
	struct stat status;
	struct sw_snapshot_header *snapshot = NULL;
	size_t used = 0;
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size >= (off_t)sizeof(*snapshot) &&
	    status.st_size <= (off_t)SW_SNAPSHOT_MAX_BYTES)
		snapshot = malloc((size_t)status.st_size);
	while (snapshot && used < (size_t)status.st_size) {
		const ssize_t n = read(fd, (char *)snapshot + used, (size_t)status.st_size - used);
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		if (n > 0)
			used += (size_t)n;
	}
	close(fd);
	if (snapshot && !sw_snapshot_readable(snapshot, used)) {
		free(snapshot);
		snapshot = NULL;
	}
	return snapshot;
}
