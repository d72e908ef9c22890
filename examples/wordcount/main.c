/*
 * wordcount: counts the words of files with a tree of processes. From here it reads top down: which files
 * (files.h), in which chunks (plan.h), counted by whom (team.h, worker.c), how (words.h), and what is shown
 * (report.h).
 */
#include "team.h"

#include <yoke.h>

static yoke_error *list_files(struct files *files, const struct options *options)
{
    for (size_t i = 0; i < options->path_count; i++)
        YOKE_TRY(files_add(files, options->paths[i]));
    if (!options->path_count)
        YOKE_TRY(files_add_default(files));
    YOKE_TRY(files_unique(files));
    if (files->count)
        return NULL;
    yoke_error *e =
        yoke_raise(&WORDCOUNT_INPUT, options->path_count ? "there are no files in what was named"
                                                         : "this machine has none of the default files");
    yoke_error_note(e, "hint: name files, or folders that hold some: wordcount FILE OR FOLDER...");
    return e;
}

static yoke_error *count_and_report(const struct options *options, const struct files *files,
                                    const struct plan *plan, int64_t began)
{
    struct progress progress;
    struct team_result result;
    progress_begin(&progress, files->bytes, !options->pause_at);
    yoke_error *e = team_count(options, plan, &progress, &result);
    if (!e)
        e = report_print(&(struct report){.tally = &result.tally,
                                          .files = files->count,
                                          .bytes = result.bytes,
                                          .top = options->top,
                                          .workers = options->workers,
                                          .replaced = result.replaced,
                                          .elapsed = yoke_now() - began,
                                          .json = options->json});
    tally_free(&result.tally);
    return e;
}

static yoke_error *run(const struct options *options)
{
    int64_t began = yoke_now();
    struct files files = {.items = NULL};
    struct plan plan = {.parts = NULL};
    yoke_error *e = list_files(&files, options);
    if (!e)
        e = plan_make(&plan, &files, plan_chunk_bytes(files.bytes, options->workers));
    if (!e)
        e = count_and_report(options, &files, &plan, began);
    plan_free(&plan);
    files_free(&files);
    return e;
}

static yoke_error *app(int argc, char **argv)
{
    struct options options;
    yoke_error *e = NULL;
    switch (options_read(&options, argc, argv)) {
    case OPTIONS_RUN:
        e = run(&options);
        break;
    case OPTIONS_DONE:
        if (fflush(stdout))
            e = yoke_raise(&YOKE_SYSTEM, "cannot write to standard output");
        break;
    case OPTIONS_BAD:
        options_free(&options);
        /* All was said on stderr, as GNU programs do: the library has nothing to add. */
        yoke_exit_status(2);
        return NULL;
    }
    options_free(&options);
    if (yoke_error_find(e, &WORDCOUNT_INPUT))
        yoke_exit_status(2);
    return e;
}

YOKE_MAIN(app)
