/*
 * The script that gdb runs when it has attached. It needs gdb 10; Python for one detail alone.
 *
 * Hooks rather than redefinitions: `c`, `fg`, `q` and the end of input reach them too. After a step the pause
 * itself is over (the thread has left yoke_pause), so all that moves the process first lets it go there, and
 * answers `continue`.
 */
#include "devx/gdb_script.h"

#include "devx/commands.h"
#include <string.h>

/* Texts are another process': what the terminal or gdb would act on is not printed. */
static void put_text(FILE *f, const char *text)
{
    for (; *text; text++)
        fputc((unsigned char)*text < ' ' || *text == 0x7f || *text == '\\' ? '?' : *text, f);
}

/* $arg0: what to answer. Nothing if that is done, or if the process has gone; but a `quit` is owed then. */
static void write_answer(FILE *f, const struct pause_request *r)
{
    fprintf(f,
            "set $yoke_answered = 0\n"
            "define yoke-answer\n"
            "  if $_thread != 0\n"
            "    if $yoke_answered == 0\n"
            "      set $yoke_answered = 1\n"
            "      set var *(int *)%#llx = $arg0\n"
            "    else\n"
            "      if $arg0 == %d\n"
            "        set var *(int *)%#llx = 1\n"
            "      end\n"
            "    end\n"
            "  end\n"
            "end\n",
            (unsigned long long)r->answer, PAUSE_QUIT, (unsigned long long)r->owed);
}

/*
 * gdb runs `quit` for the end of input (ctrl-d) too, which is to mean `continue`. What was typed stands in
 * the history, which counts on: the last line since the first prompt began with a q, or nobody said it. The
 * numbers come back through the status of a shell, modulo 128. The file of earlier sessions' history is read
 * only after the scripts, so they are noted again at the first prompt (GDB_AT_FIRST_PROMPT).
 */
static void write_ends(FILE *f)
{
    fprintf(f, "define hook-continue\n  yoke-answer %d\n  quit\nend\n", PAUSE_CONTINUE);
    fprintf(f, "define hook-detach\n  yoke-answer %d\n  quit\nend\n", PAUSE_CONTINUE);
    fprintf(f,
            "define hook-quit\n"
            "  if $yoke_leaving == 0\n"
            "    set $yoke_leaving = 1\n"
            "    pipe show commands | awk 'END { exit $2 ~ /^q/ ? 128 + $1 %% 128 : 0 }'\n"
            "    if $_shell_exitcode > 127 && $_shell_exitcode != $yoke_history\n"
            "      yoke-answer %d\n"
            "    else\n"
            "      yoke-answer %d\n"
            "    end\n"
            "  end\n"
            "end\n",
            PAUSE_QUIT, PAUSE_CONTINUE);
    fprintf(f, "set $yoke_leaving = 0\n"
               "define yoke-note-history\n"
               "  pipe show commands | awk 'END { exit 128 + $1 %% 128 }'\n"
               "  set $yoke_history = $_shell_exitcode\n"
               "end\n"
               "yoke-note-history\n");
}

static const char *const moves[] = {"next", "step", "nexti", "stepi", "until", "advance", "finish"};
enum { MOVES = sizeof moves / sizeof *moves };

/* An error in a hook keeps the command from being run. */
static void write_no_moves(FILE *f)
{
    for (size_t i = 0; i < MOVES; i++)
        fprintf(f,
                "define hook-%s\n"
                "  python raise gdb.GdbError(\"it can't be moved any more: `continue` lets it go its way\")\n"
                "end\n",
                moves[i]);
}

static void write_moves(FILE *f, const struct pause_request *r)
{
    fprintf(f,
            "define yoke-leave\n"
            "  if $yoke_answered == 0\n"
            "    yoke-answer %d\n"
            "    pipe advance *%#llx | cat >/dev/null\n"
            "  end\n"
            "end\n",
            PAUSE_CONTINUE, (unsigned long long)r->caller);
    for (size_t i = 0; i < MOVES; i++)
        fprintf(f, "define hook-%s\n  yoke-leave\nend\n", moves[i]);
}

/* Which thread is it? The one that stands right below the frame of the pause. */
static void write_look(FILE *f, const struct pause_request *r)
{
    fprintf(f,
            "define yoke-look\n"
            "  if (unsigned long)$sp <= %#llx && (unsigned long)$sp > %#llx\n"
            "    set $yoke_thread = $_thread\n"
            "    while $pc != %#llx\n"
            "      up-silently\n"
            "    end\n"
            "  end\n"
            "end\n"
            "set $yoke_thread = 1\n"
            "thread apply all -q -s yoke-look\n"
            "pipe thread $yoke_thread | cat >/dev/null\n"
            /* Of a broken stack the frame may not be found. */
            "python exec(\"try:\\n gdb.execute('yoke-look')\\nexcept gdb.error:\\n pass\")\n",
            (unsigned long long)r->frame, (unsigned long long)r->frame - 0x10000,
            (unsigned long long)r->caller);
}

/* A text of several lines, and the line of the program that it is about. */
static void write_text(FILE *f, const struct debugger_target *t)
{
    for (const char *line = t->text; *line;) {
        int length = (int)strcspn(line, "\n");
        char copy[512];
        snprintf(copy, sizeof copy, "%.*s", length, line);
        size_t indent = strspn(copy, " ");
        fprintf(f, "echo ");
        for (size_t i = 0; i < indent; i++)
            fprintf(f, "\\040"); /* it would skip blanks */
        put_text(f, copy + indent);
        fprintf(f, "\\n\n");
        line += length + (line[length] == '\n');
    }
}

/* Where gdb finds no such file, it is of no interest. */
static void write_place(FILE *f, const struct debugger_target *t)
{
    if (!t->file || !*t->file)
        return;
    fprintf(f, "python exec(\"try:\\n gdb.execute('list ");
    for (const char *at = t->file; *at; at++)
        fputc(strchr("'\"\\\n", *at) ? '?' : *at, f);
    fprintf(f, ":%d,%d')\\nexcept gdb.error:\\n pass\")\n", t->line, t->line);
}

static void write_header(FILE *f, const struct debugger_target *t)
{
    fprintf(f, "set prompt (yoke: ");
    put_text(f, t->actor);
    fputc('/', f);
    put_text(f, t->task);
    fprintf(f, ") \necho ");
    put_text(f, t->why);
    fprintf(f, " in actor `");
    put_text(f, t->actor);
    fprintf(f, "` (pid %d), task `", (int)t->request.pid);
    put_text(f, t->task);
    fprintf(f, "`:\\040");
    if (t->text && *t->text) {
        fprintf(f, "\\n\n");
        write_text(f, t);
        fprintf(f, "echo ");
    }
    fprintf(f, "\n");
    if (t->file && *t->file)
        write_place(f, t);
    else
        fprintf(f, "frame\n");
}

void gdb_script_write(FILE *f, const struct debugger_target *t)
{
    fprintf(f, "if $_thread == 0\n  quit %d\nend\n", GDB_NO_ATTACH);
    /* Its parent's death is no news of the process that is debugged. */
    fprintf(f, "set confirm off\npipe handle SIGCONT nostop noprint pass | cat >/dev/null\n");
    write_answer(f, &t->request);
    write_ends(f);
    if (t->crashed)
        write_no_moves(f);
    else
        write_moves(f, &t->request);
    write_look(f, &t->request);
    write_header(f, t);
    fputs(GDB_LOAD_COMMANDS "\n", f);
}
