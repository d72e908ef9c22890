/*
 * Folders are walked with a list of those still to be read, not by recursion: depth costs memory, never
 * stack.
 */
#include "files.h"

#include "words.h"

#include <yoke/task.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Entries between two checkpoints: below a millisecond of work. */
#define ENTRIES_A_CHECKPOINT 256

const char *const files_default[] = {"/usr/share/common-licenses", "/usr/include", "/usr/share/doc",
                                     "/usr/share/perl", NULL};

static const char *const no_text[] = {".gz",  ".xz",  ".bz2",  ".zst", ".zip", ".png", ".gif", ".jpg",
                                      ".ico", ".pdf", ".woff", ".ttf", ".gch", ".pch", NULL};

struct walk {
    struct files *files;
    bool forgiving; /* the default set */
    char **folders; /* still to be read */
    size_t folder_count, folder_room;
    unsigned entries;
};

static yoke_error *unreadable(const char *path, int number)
{
    char shown[512];
    return yoke_raise(&WORDCOUNT_INPUT, "cannot read %s: %s", path_shown(path, shown, sizeof shown),
                      strerror(number));
}

static yoke_error *no_memory(void)
{
    return yoke_raise(&YOKE_NO_MEMORY, "no memory for the list of files");
}

static bool is_text_by_name(const char *path)
{
    size_t length = strlen(path);
    for (const char *const *ending = no_text; *ending; ending++) {
        size_t size = strlen(*ending);
        if (length > size && strcmp(path + length - size, *ending) == 0)
            return false;
    }
    return true;
}

static yoke_error *keep_file(struct walk *walk, const char *path, const struct stat *status)
{
    if (walk->forgiving && !is_text_by_name(path))
        return NULL;
    if (access(path, R_OK) < 0)
        return walk->forgiving ? NULL : unreadable(path, errno);
    struct files *files = walk->files;
    YOKE_TRY(array_reserve(&files->items, &files->room, files->count + 1, sizeof *files->items));
    char *copy = strdup(path);
    if (!copy)
        return no_memory();
    files->items[files->count++] =
        (struct file){copy, (uint64_t)status->st_size, status->st_dev, status->st_ino};
    return NULL;
}

/* Takes ownership of `path`, also when it fails. */
static yoke_error *keep_folder(struct walk *walk, char *path)
{
    yoke_error *e = path ? array_reserve(&walk->folders, &walk->folder_room, walk->folder_count + 1,
                                         sizeof *walk->folders)
                         : no_memory();
    if (e)
        free(path);
    else
        walk->folders[walk->folder_count++] = path;
    return e;
}

/* Takes ownership of `path`, also when it fails. */
static yoke_error *look_at_entry(struct walk *walk, char *path, unsigned char type)
{
    if (!path)
        return no_memory();
    if (type == DT_DIR)
        return keep_folder(walk, path);
    struct stat status;
    yoke_error *e = NULL;
    if (type == DT_UNKNOWN && lstat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return keep_folder(walk, path);
    /* What is gone by now, or a link to nothing, is no file. */
    if ((type == DT_REG || type == DT_LNK || type == DT_UNKNOWN) && stat(path, &status) == 0 &&
        S_ISREG(status.st_mode))
        e = keep_file(walk, path, &status);
    free(path);
    return e;
}

static char *join(const char *folder, const char *name)
{
    char *path;
    size_t length = strlen(folder);
    const char *slash = length && folder[length - 1] == '/' ? "" : "/";
    return asprintf(&path, "%s%s%s", folder, slash, name) < 0 ? NULL : path;
}

static yoke_error *read_entries(struct walk *walk, DIR *dir, const char *folder)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry)
            return errno ? unreadable(folder, errno) : NULL;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        YOKE_TRY(look_at_entry(walk, join(folder, entry->d_name), entry->d_type));
        if (++walk->entries % ENTRIES_A_CHECKPOINT == 0)
            YOKE_TRY(yoke_checkpoint());
    }
}

static yoke_error *read_folder(struct walk *walk, const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir && walk->forgiving)
        return NULL;
    if (!dir)
        return unreadable(folder, errno);
    yoke_error *e = read_entries(walk, dir, folder);
    closedir(dir);
    return e;
}

static yoke_error *read_folders(struct walk *walk)
{
    yoke_error *e = NULL;
    while (walk->folder_count && !e) {
        char *folder = walk->folders[--walk->folder_count];
        e = read_folder(walk, folder);
        free(folder);
    }
    while (walk->folder_count)
        free(walk->folders[--walk->folder_count]);
    free(walk->folders);
    return e;
}

static int by_path(const void *left, const void *right)
{
    return strcmp(((const struct file *)left)->path, ((const struct file *)right)->path);
}

static yoke_error *add(struct walk *walk, const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return walk->forgiving ? NULL : unreadable(path, errno);
    if (S_ISREG(status.st_mode))
        return keep_file(walk, path, &status);
    if (!S_ISDIR(status.st_mode))
        return yoke_raise(&WORDCOUNT_INPUT, "cannot read %s: it is neither a file nor a folder", path);
    size_t before = walk->files->count;
    YOKE_TRY(keep_folder(walk, strdup(path)));
    YOKE_TRY(read_folders(walk));
    if (walk->files->count > before)
        qsort(walk->files->items + before, walk->files->count - before, sizeof *walk->files->items, by_path);
    return NULL;
}

yoke_error *files_add(struct files *files, const char *path)
{
    return add(&(struct walk){.files = files}, path);
}

yoke_error *files_add_default(struct files *files)
{
    for (const char *const *path = files_default; *path; path++)
        YOKE_TRY(add(&(struct walk){.files = files, .forgiving = true}, *path));
    return NULL;
}

static int by_identity(const void *left, const void *right, void *items)
{
    size_t i = *(const size_t *)left, j = *(const size_t *)right;
    const struct file *a = (const struct file *)items + i, *b = (const struct file *)items + j;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    if (a->inode != b->inode)
        return a->inode < b->inode ? -1 : 1;
    return (i > j) - (i < j);
}

/* Takes the path of each later name of a file away. */
static yoke_error *forget_later_names(struct files *files)
{
    size_t *order = calloc(files->count, sizeof *order);
    if (!order)
        return no_memory();
    for (size_t i = 0; i < files->count; i++)
        order[i] = i;
    qsort_r(order, files->count, sizeof *order, by_identity, files->items);
    const struct file *first = &files->items[order[0]];
    for (size_t i = 1; i < files->count; i++) {
        struct file *file = &files->items[order[i]];
        if (file->device != first->device || file->inode != first->inode) {
            first = file;
            continue;
        }
        free(file->path);
        file->path = NULL;
    }
    free(order);
    return NULL;
}

yoke_error *files_unique(struct files *files)
{
    if (files->count)
        YOKE_TRY(forget_later_names(files));
    size_t kept = 0;
    files->bytes = 0;
    for (size_t i = 0; i < files->count; i++) {
        if (!files->items[i].path)
            continue;
        files->bytes += files->items[i].size;
        files->items[kept++] = files->items[i];
    }
    files->count = kept;
    return NULL;
}

void files_free(struct files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->items[i].path);
    free(files->items);
    *files = (struct files){.items = NULL};
}
