/* SPDX-License-Identifier: BSD-3-Clause */
#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

enum { SECRETS_BYTES = 4096 };

static int say(int result, char *error, size_t error_bytes, const char *path, const char *what)
{
	snprintf(error, error_bytes, "secret %s: %s", path, what ? what : strerror(-result));
	return result;
}

static int fill(int fd)
{
	uint8_t bytes[SW_COOKIE_MASTER_BYTES];
	int result = 0;
	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		result = -EIO;
	else if (write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
		result = errno ? -errno : -EIO;
	else if (fsync(fd))
		result = -errno;
	sodium_memzero(bytes, sizeof(bytes));
	return result;
}

/* link() and not rename(): of two processes that make one at the same time, the second must not replace the first's. */
static int make(const char *path)
{
	char temporary[PATH_MAX];
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid()) >= sizeof(temporary))
		return -ENAMETOOLONG;
	unlink(temporary);
	const int fd = open(temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	int result = fill(fd);
	close(fd);
	if (result == 0 && link(temporary, path) && errno != EEXIST)
		result = -errno;
	unlink(temporary);
	return result;
}

static int load(const char *path, struct sw_secrets *s, char *error, size_t error_bytes)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return say(-errno, error, error_bytes, path, NULL);
	struct stat st;
	int result = -EINVAL;
	if (fstat(fd, &st))
		result = say(-errno, error, error_bytes, path, NULL);
	else if (!S_ISREG(st.st_mode) || st.st_size != SW_COOKIE_MASTER_BYTES)
		say(result, error, error_bytes, path, "expected a file of 32 bytes; remove it and a new one is made");
	else if (st.st_mode & 077 || st.st_uid != geteuid())
		say(result, error, error_bytes, path, "others may read or own it: chown it to this user, chmod 600");
	else if (read(fd, s->master, sizeof(s->master)) != (ssize_t)sizeof(s->master))
		result = say(-EIO, error, error_bytes, path, NULL);
	else
		result = 0;
	close(fd);
	return result;
}

int sw_secrets_open(const char *state_dir, struct sw_secrets **out, char *error, size_t error_bytes)
{
	char path[PATH_MAX];
	*out = NULL;
	if ((size_t)snprintf(path, sizeof(path), "%s/" SW_SECRET_NAME, state_dir) >= sizeof(path))
		return say(-ENAMETOOLONG, error, error_bytes, state_dir, NULL);
	struct sw_secrets *s = mmap(NULL, SECRETS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return say(-ENOMEM, error, error_bytes, path, NULL);
	/* Best effort: a box without the right to lock memory still has to start. */
	(void)mlock(s, SECRETS_BYTES);
	(void)madvise(s, SECRETS_BYTES, MADV_DONTDUMP);
	int result = 0;
	if (access(path, F_OK) && errno == ENOENT)
		result = make(path);
	if (result)
		say(result, error, error_bytes, path, NULL);
	else
		result = load(path, s, error, error_bytes);
	if (result) {
		sw_secrets_close(s);
		return result;
	}
	*out = s;
	return 0;
}

void sw_secrets_close(struct sw_secrets *s)
{
	if (!s)
		return;
	sodium_memzero(s, sizeof(*s));
	munmap(s, SECRETS_BYTES);
}
