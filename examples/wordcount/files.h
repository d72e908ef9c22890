/*
 * Which files are counted: those named, those below the folders named, or the default set. Each file once,
 * however many names lead to it.
 */
#ifndef WORDCOUNT_FILES_H
#define WORDCOUNT_FILES_H

#include <yoke/base.h>

#include <sys/types.h>

struct file {
    char *path;
    uint64_t size;
    dev_t device;
    ino_t inode;
};

struct files {
    struct file *items;
    size_t count, room;
    uint64_t bytes;
};

/* Folders of text that Debian machines have; a list that ends with NULL. */
extern const char *const files_default[];

/*
 * Adds a file, or what is below a folder: hidden files too, links to files followed, links to folders not,
 * sorted by path. What is in a folder but is no file (sockets, devices, links that lead nowhere) is left out.
 * From a task; a checkpoint now and then. WORDCOUNT_INPUT: `path` is missing, can't be read, or is neither
 * file nor folder; so for each file and folder below it.
 */
YOKE_MUST_USE yoke_error *files_add(struct files *files, const char *path);
/* The default set: as files_add for each of files_default, but without the ones that are missing, can't be
   read, or are no text by their names (.gz, .png). */
YOKE_MUST_USE yoke_error *files_add_default(struct files *files);
/* Leaves the first name of each file; sums the bytes up. */
YOKE_MUST_USE yoke_error *files_unique(struct files *files);
void files_free(struct files *files);

#endif
