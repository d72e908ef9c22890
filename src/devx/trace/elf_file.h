/* The files that hold symbols: programs and libraries, and their debug information where that is separate. */
#ifndef DEVX_ELF_FILE_H
#define DEVX_ELF_FILE_H

#include <stddef.h>
#include <stdint.h>

enum { ELF_BUILD_ID_TEXT_BYTES = 2 * 32 + 1 };

/*
 * Opens `path`, which may be another user's invention: an absolute path of a regular file that belongs to
 * root or to this process' user. A descriptor, or -1.
 */
int elf_file_open(const char *path);
/*
 * Opens the separate debug information of the file with that build-id: `.build-id/XX/REST.debug` in the
 * folders of YOKE_DEBUG_FILES (separated by colons), then in /usr/lib/debug, then what debuginfod's clients
 * have fetched before. No server is asked. A descriptor, and in `*path` its name, to be freed by free(3); or
 * -1.
 */
int elf_file_open_debug(const uint8_t *build_id, size_t bytes, char **path);
/* In hexadecimal digits; cut. */
void elf_file_print_build_id(char out[ELF_BUILD_ID_TEXT_BYTES], const uint8_t *build_id, size_t bytes);

#endif
