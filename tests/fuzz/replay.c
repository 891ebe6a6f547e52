/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs every file of a directory through a fuzz target, each in a heap copy of exactly its size, so that a sanitizer
 * sees the first byte read too far. Usage: replay_NAME DIRECTORY. An empty directory is an error: nothing was tested.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 64 << 20 };

/* The file's bytes in an allocation of exactly their number (of one byte when there are none); NULL: cannot. */
static uint8_t *read_exactly(const char *path, size_t *size)
{
	uint8_t *data = NULL;
	FILE *file = fopen(path, "rb");
	long length;

	if (!file)
		return NULL;
	if (fseek(file, 0, SEEK_END) != 0 || (length = ftell(file)) < 0 || length > INPUT_MAX)
		goto close;
	rewind(file);
	*size = (size_t)length;
	data = malloc(*size ? *size : 1);
	if (data && fread(data, 1, *size, file) != *size) {
		free(data);
		data = NULL;
	}
close:
	fclose(file);
	return data;
}

static int replay(const char *directory, const char *name)
{
	char path[4096];
	size_t size = 0;
	uint8_t *data;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", directory, name) >= sizeof(path))
		return -1;
	data = read_exactly(path, &size);
	if (!data) {
		fprintf(stderr, "%s: cannot be read\n", path);
		return -1;
	}
	printf("%s\n", name); /* before the run: the last line names the culprit */
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

static int is_file_name(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	struct dirent **entries = NULL;
	int failed = 0, count;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	count = scandir(argv[1], &entries, is_file_name, alphasort);
	if (count <= 0) {
		fprintf(stderr, "%s: no corpus\n", argv[1]);
		return 2;
	}
	for (int i = 0; i < count; i++) {
		failed += replay(argv[1], entries[i]->d_name) != 0;
		free(entries[i]);
	}
	free(entries);
	printf("%d inputs\n", count);
	return failed ? 1 : 0;
}
