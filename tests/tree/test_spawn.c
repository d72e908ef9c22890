/* Starting actors: what a child is, what it has, what it was told, and starts that fail. */
#include "tree.h"

#include "actor/actors.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ---- endpoints ---- */

YOKE_RECORD(identity, (i32, pid), (i32, parent), (str, name), (str, uuid), (str, comm), (i32, number));
YOKE_RECORD(word, (str, text));
YOKE_RECORD(depth, (u32, left), (str, modules));

static int changed_by_the_root = 1;

static void read_comm(char *text, size_t size)
{
    FILE *f = fopen("/proc/self/comm", "re");
    if (!f || !fgets(text, (int)size, f))
        text[0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (f)
        fclose(f);
}

static yoke_error *who(const yoke_type_none *args, identity *result)
{
    char comm[32];
    read_comm(comm, sizeof comm);
    const yoke_uid *uid = yoke_current_actor();
    *result = (identity){getpid(),          getppid(),    strdup(uid->name),
                         strdup(uid->uuid), strdup(comm), changed_by_the_root};
    return NULL;
}
static yoke_error *is_root(const yoke_type_none *args, yoke_type_boolean *result)
{
    *result = yoke_is_root();
    return NULL;
}
static yoke_error *variable(const word *args, word *result)
{
    const char *value = getenv(args->text);
    result->text = strdup(value ? value : "(none)");
    return NULL;
}

/* The descriptors that a program started from here would get; and "many" if there are more than the runtime's
 * own besides. A child finds its channel and its crash pipe in 3 and 4, and keeps them for itself. */
static yoke_error *descriptors(const yoke_type_none *args, word *result)
{
    char *text = NULL;
    size_t size;
    int count = 0;
    FILE *out = open_memstream(&text, &size);
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *d; dir && (d = readdir(dir));) {
        if (d->d_name[0] == '.' || atoi(d->d_name) == dirfd(dir))
            continue;
        count++;
        if (!(fcntl(atoi(d->d_name), F_GETFD) & FD_CLOEXEC))
            fprintf(out, "%s ", d->d_name);
    }
    closedir(dir);
    if (count > 16)
        fputs("many", out);
    fclose(out);
    result->text = text;
    return NULL;
}
static yoke_error *signals(const yoke_type_none *args, word *result)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size), *f = fopen("/proc/self/status", "re");
    char line[200];
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "SigBlk:", 7) == 0 || strncmp(line, "SigIgn:", 7) == 0)
            fprintf(out, "%s", line);
    fclose(f);
    fclose(out);
    result->text = text;
    return NULL;
}
static yoke_error *speak(const yoke_type_none *args, yoke_type_none *result)
{
    yoke_log(YOKE_CRITICAL, "words of level critical");
    yoke_log(YOKE_CANCEL, "words of level cancel");
    yoke_log(YOKE_DEBUG, "words of level debug");
    return NULL;
}
/* The actor goes on. */
static yoke_error *write_to_nobody(const yoke_type_none *args, yoke_type_i32 *result)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return yoke_raise_errno(errno, "pipe2");
    close(ends[0]);
    *result = write(ends[1], "x", 1) < 0 ? errno : 0;
    close(ends[1]);
    return NULL;
}
static void read_line_of(char *text, size_t size, const char *path)
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, size - 1, f) : 0;
    text[n] = '\0';
    if (f)
        fclose(f);
}
static yoke_error *title(const yoke_type_none *args, word *result)
{
    char text[256];
    read_line_of(text, sizeof text, "/proc/self/cmdline");
    result->text = strdup(text);
    return NULL;
}
/* What a child has of its parent, in words. */
static yoke_error *look(const yoke_type_none *args, word *result)
{
    char *text = NULL, folder[512], comm[32], line[200];
    size_t size;
    struct rlimit files;
    FILE *out = open_memstream(&text, &size), *f = fopen("/proc/self/status", "re");
    mode_t mask = umask(0);
    umask(mask);
    getrlimit(RLIMIT_NOFILE, &files);
    read_comm(comm, sizeof comm);
    fprintf(
        out,
        "folder %s, umask %o, files %llu, nice %d, group %d, session %d, parent %d, name %s, variable %s\n",
        getcwd(folder, sizeof folder), (unsigned)mask, (unsigned long long)files.rlim_cur,
        getpriority(PRIO_PROCESS, 0), (int)getpgrp(), (int)getsid(0), (int)getppid(), comm,
        getenv("YOKE_TEST_TREE"));
    while (f && fgets(line, sizeof line, f))
        if ((strncmp(line, "Sig", 3) == 0 && line[3] != 'Q') || strncmp(line, "Uid", 3) == 0 ||
            strncmp(line, "Threads", 7) == 0)
            fputs(line, out);
    for (int fd = 0; fd < 64; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            fprintf(out, "descriptor %d flags %d\n", fd, fcntl(fd, F_GETFD));
    fclose(f);
    fclose(out);
    result->text = text;
    return NULL;
}
static yoke_error *log_filter(const yoke_type_none *args, word *result)
{
    result->text = strdup(yoke_log_filter());
    return NULL;
}

/* The pids from here down, one a level. */
static yoke_error *descend_in(struct scene *s)
{
    const depth *args = s->arg;
    word below;
    YOKE_TRY(
        yoke_actors_start(s->actors, "below", &(yoke_actor_options){.modules = args->modules}, &s->portal));
    YOKE_TRY(yoke_call(s->portal, "ends:descend", &(depth){args->left - 1, args->modules}, &below));
    bool is_child = (pid_t)atoi(strchr(below.text, '<') + 1) == getpid();
    s->arg = (char *)below.text;
    if (is_child)
        return NULL;
    word_free(&below);
    return yoke_raise(&CHECK_FAILED, "the parent's number in the child is not this process'");
}
static yoke_error *descend(const depth *args, word *result)
{
    char here[64];
    snprintf(here, sizeof here, "%d<%d", (int)getpid(), (int)getppid());
    if (!args->left) {
        result->text = strdup(here);
        return NULL;
    }
    struct scene s = {.arg = (void *)args};
    YOKE_TRY(with_actors(&s, NULL, descend_in));
    char *all = NULL;
    if (asprintf(&all, "%s %s", here, (char *)s.arg) < 0)
        all = NULL;
    free(s.arg);
    result->text = all;
    return NULL;
}
YOKE_MODULE(ends, YOKE_CALL(who, none, identity), YOKE_CALL(is_root, none, boolean),
            YOKE_CALL(variable, word, word), YOKE_CALL(descriptors, none, word),
            YOKE_CALL(signals, none, word), YOKE_CALL(log_filter, none, word),
            YOKE_CALL(descend, depth, word), YOKE_CALL(speak, none, none),
            YOKE_CALL(write_to_nobody, none, i32), YOKE_CALL(title, none, word), YOKE_CALL(look, none, word));
YOKE_MODULE(second, YOKE_CALL(who, none, identity));
YOKE_MODULE(third, YOKE_CALL(who, none, identity));

/* Is what the endpoint gives `text`? */
static yoke_error *expect_word(yoke_portal *p, const char *endpoint, const void *args, const char *text)
{
    word result;
    YOKE_TRY(yoke_call(p, endpoint, args, &result));
    yoke_error *e = strcmp(result.text, text) == 0
                        ? NULL
                        : yoke_raise(&CHECK_FAILED, "%s gave `%s`, not `%s`", endpoint, result.text, text);
    word_free(&result);
    return e;
}

static yoke_error *start_named(struct scene *s, const char *name, const char *modules, yoke_portal **p)
{
    return yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = modules}, p);
}

/* ---- who a child is ---- */

static yoke_error *check_identity(struct scene *s, const identity *there)
{
    const yoke_uid *peer = yoke_portal_peer(s->portal);
    CHECK(there->pid == yoke_portal_pid(s->portal) && there->parent == getpid());
    CHECK(strcmp(there->name, "worker") == 0 && strcmp(peer->name, "worker") == 0);
    CHECK(strcmp(there->uuid, peer->uuid) == 0 && strlen(there->uuid) == 36);
    CHECK(strcmp(there->comm, "yoke-worker") == 0);
    CHECK(there->number == 1); /* SPAWN-02: not what this process has made of it */
    return NULL;
}
static yoke_error *is_same_actor(const yoke_portal *a, const yoke_portal *b)
{
    CHECK(yoke_uid_equal(yoke_portal_peer(a), yoke_portal_peer(b)));
    return NULL;
}
static yoke_error *ask_identity(struct scene *s)
{
    identity there;
    bool root = true;
    CHECK(yoke_is_root() && strcmp(yoke_current_actor()->name, "root") == 0);
    changed_by_the_root = 2;
    YOKE_TRY(yoke_call(s->portal, "ends:who", NULL, &there));
    yoke_error *e = check_identity(s, &there);
    identity_free(&there);
    changed_by_the_root = 1;
    YOKE_TRY(e);
    CHECK(yoke_portal_is_connected(s->portal));
    YOKE_TRY(yoke_call(s->portal, "ends:is_root", NULL, &root));
    CHECK(!root);
    CHECK(yoke_actors_count(s->actors) == 1);
    yoke_portal *found;
    YOKE_TRY(yoke_wait_for("worker", &found));
    return yoke_portal_close(found, is_same_actor(found, s->portal));
}
/* SPAWN-02, SPAWN-06 */
static void test_spawn_01_02_06_own_child_with_its_own_state(void **state)
{
    assert_success(tree_with_child("ends", ask_identity, NULL));
}

static yoke_error *start_names(struct scene *s)
{
    yoke_portal *first, *second;
    YOKE_TRY(start_named(s, "same", "ends", &first));
    YOKE_TRY(start_named(s, "same", "ends", &second));
    CHECK(!yoke_uid_equal(yoke_portal_peer(first), yoke_portal_peer(second)));
    char longest[66], name[] = {'x', 0, 0};
    memset(longest, 'n', 64);
    longest[64] = '\0';
    YOKE_TRY(start_named(s, longest, "ends", &first));
    YOKE_TRY(start_named(s, "gr\xc3\xbc\xc3\x9f", "ends", &first));
    identity there;
    YOKE_TRY(yoke_call(first, "ends:who", NULL, &there));
    bool same = strcmp(there.name, "gr\xc3\xbc\xc3\x9f") == 0;
    identity_free(&there);
    CHECK(same);
    longest[64] = 'n';
    longest[65] = '\0';
    EXPECT(start_named(s, longest, NULL, &first), &YOKE_USAGE, "64");
    EXPECT(start_named(s, "", NULL, &first), &YOKE_USAGE, NULL);
    EXPECT(start_named(s, NULL, NULL, &first), &YOKE_USAGE, NULL);
    EXPECT(start_named(s, "\xff", NULL, &first), &YOKE_USAGE, NULL);
    for (name[1] = 1; name[1] < ' '; name[1]++)
        EXPECT(start_named(s, name, NULL, &first), &YOKE_USAGE, NULL);
    EXPECT(start_named(s, "a/b", NULL, &first), &YOKE_USAGE, "/");
    CHECK(first == NULL);
    return NULL;
}
static void test_spawn_04_names(void **state)
{
    assert_success(tree_with_actors(start_names, NULL));
}

static yoke_error *descend_three(struct scene *s)
{
    word all;
    YOKE_TRY(yoke_call(s->portal, "ends:descend", &(depth){3, "ends"}, &all));
    int levels = 1;
    for (const char *at = all.text; *at; at++)
        levels += *at == ' ';
    bool begins = atoi(all.text) == yoke_portal_pid(s->portal);
    word_free(&all);
    CHECK(levels == 4 && begins);
    return NULL;
}
static void test_spawn_08_recursion_to_depth_four(void **state)
{
    assert_success(tree_with_child("ends", descend_three, NULL));
}

/* ---- what it has ---- */

static yoke_error *environment_now(struct scene *s)
{
    yoke_portal *p;
    setenv("YOKE_TEST_COLOUR", "blue", 1);
    yoke_error *e = start_named(s, "blue", "ends", &p);
    if (!e)
        e = expect_word(p, "ends:variable", &(word){"YOKE_TEST_COLOUR"}, "blue");
    setenv("YOKE_TEST_COLOUR", "", 1);
    if (!e)
        e = start_named(s, "empty", "ends", &p);
    if (!e)
        e = expect_word(p, "ends:variable", &(word){"YOKE_TEST_COLOUR"}, "");
    unsetenv("YOKE_TEST_COLOUR");
    YOKE_TRY(e);
    YOKE_TRY(start_named(s, "none", "ends", &p));
    return expect_word(p, "ends:variable", &(word){"YOKE_TEST_COLOUR"}, "(none)");
}
static void test_spawn_30_environment_as_it_is_now(void **state)
{
    assert_success(tree_with_actors(environment_now, NULL));
}

enum { HELD = 200 };
static yoke_error *hold_many(struct scene *s)
{
    int held[HELD];
    for (int i = 0; i < HELD; i++)
        held[i] = dup(STDERR_FILENO); /* without close-on-exec */
    yoke_portal *p;
    yoke_error *e = start_named(s, "bare", "ends", &p);
    for (int i = 0; i < HELD; i++)
        close(held[i]);
    YOKE_TRY(e);
    return expect_word(p, "ends:descriptors", NULL, "0 1 2 ");
}
static void test_spawn_17_descriptors(void **state)
{
    assert_success(tree_with_actors(hold_many, NULL));
}

static yoke_error *read_signals(yoke_portal *p, unsigned long long *mask, unsigned long long *ignored)
{
    word there;
    YOKE_TRY(yoke_call(p, "ends:signals", NULL, &there));
    *mask = *ignored = ~0ull;
    sscanf(there.text, "SigBlk: %llx SigIgn: %llx", mask, ignored);
    word_free(&there);
    return NULL;
}
static yoke_error *ask_signals(struct scene *s)
{
    static const enum yoke_backend backends[] = {YOKE_BACKEND_EXEC, YOKE_BACKEND_FORK};
    bool nohup = s->arg;
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    signal(SIGUSR2, SIG_IGN);
    yoke_portal *p[2];
    yoke_error *e = NULL;
    for (int i = 0; i < 2 && !e; i++)
        e = yoke_actors_start(s->actors, "clean",
                              &(yoke_actor_options){.modules = "ends", .backend = backends[i]}, &p[i]);
    signal(SIGUSR2, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    YOKE_TRY(e);
    for (int i = 0; i < 2; i++) {
        unsigned long long mask, ignored;
        int32_t error;
        YOKE_TRY(read_signals(p[i], &mask, &ignored));
        ignored &= 0x7fffffff; /* those above are the C library's */
        CHECK(mask == 0);
        CHECK(ignored == (nohup ? 1ull << (SIGHUP - 1) : 0));
        YOKE_TRY(yoke_call(p[i], "ends:write_to_nobody", NULL, &error)); /* a SIGPIPE */
        CHECK(error == EPIPE);
    }
    return NULL;
}
static void test_spawn_28_signals_in_a_child(void **state)
{
    assert_success(tree_with_actors(ask_signals, NULL));
    signal(SIGHUP, SIG_IGN); /* as nohup does it */
    yoke_error *e = tree_with_actors(ask_signals, (void *)"nohup");
    signal(SIGHUP, SIG_DFL);
    assert_success(e);
}

/* Starts a child with its stderr in `f`, at a level that it is given, or that this process is at. */
static yoke_error *start_heard(struct scene *s, const char *level, bool of_the_root, FILE *f, yoke_portal **p)
{
    char before[128];
    snprintf(before, sizeof before, "%s", yoke_log_filter());
    int own = dup(STDERR_FILENO);
    dup2(fileno(f), STDERR_FILENO);
    yoke_error *e = of_the_root ? yoke_log_set(level) : NULL;
    if (!e)
        e = yoke_actors_start(
            s->actors, "heard",
            &(yoke_actor_options){.modules = "ends", .log_filter = of_the_root ? NULL : level}, p);
    dup2(own, STDERR_FILENO);
    close(own);
    return yoke_error_join(e, yoke_log_set(before));
}
/* levels: from the highest down; what is as high as levels[i] is written by the child, and nothing below. */
static yoke_error *check_level(struct scene *s, const char *const *levels, size_t i, bool of_the_root)
{
    yoke_portal *p;
    char words[64], *text = calloc(1, 1 << 20);
    FILE *f = tmpfile();
    yoke_error *e = start_heard(s, levels[i], of_the_root, f, &p);
    if (!e)
        e = expect_word(p, "ends:log_filter", NULL, levels[i]);
    if (!e)
        e = yoke_call(p, "ends:speak", NULL, NULL);
    rewind(f);
    fread(text, 1, (1 << 20) - 1, f);
    for (size_t k = 0; k < 3 && !e; k++) {
        snprintf(words, sizeof words, "words of level %s", levels[k]);
        if ((strstr(text, words) != NULL) != (k <= i))
            e = yoke_raise(&CHECK_FAILED, "at level %s: %s", levels[i], words);
    }
    fclose(f);
    free(text);
    return e;
}
static yoke_error *ask_filters(struct scene *s)
{
    yoke_portal *p;
    YOKE_TRY(yoke_actors_start(s->actors, "own",
                               &(yoke_actor_options){.modules = "ends", .log_filter = "critical"}, &p));
    YOKE_TRY(expect_word(p, "ends:log_filter", NULL, "critical"));
    YOKE_TRY(start_named(s, "inherited", "ends", &p));
    YOKE_TRY(expect_word(p, "ends:log_filter", NULL, yoke_log_filter()));
    static const char *const levels[] = {"critical", "cancel", "debug"};
    for (size_t i = 0; i < 3; i++) {
        YOKE_TRY(check_level(s, levels, i, false));
        YOKE_TRY(check_level(s, levels, i, true));
    }
    return NULL;
}
static void test_spawn_10_log_level_goes_down(void **state)
{
    assert_success(tree_with_actors(ask_filters, NULL));
}

static yoke_error *expose(struct scene *s)
{
    static const char *const lists[] = {"", "ends", "ends, third", " ends\tthird,second\n"};
    static const char *const endpoints[] = {"ends:who", "third:who", "second:who"};
    for (size_t i = 0; i < 4; i++) {
        yoke_portal *p;
        YOKE_TRY(start_named(s, "x", lists[i], &p));
        for (size_t k = 0; k < 3; k++) {
            identity there;
            yoke_error *e = yoke_call(p, endpoints[k], NULL, &there);
            if (k < i)
                YOKE_TRY(e);
            else
                EXPECT_REMOTE(e, &YOKE_MODULE_NOT_EXPOSED, NULL);
            identity_free(&there);
        }
    }
    return NULL;
}
static void test_spawn_26_exposure_is_the_parents_word(void **state)
{
    assert_success(tree_with_actors(expose, NULL));
}

/* ---- what `ps` shows ---- */

static void title_of(pid_t pid, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    read_line_of(text, size, path);
}
/* Before it has done anything, in an endpoint, and as a zombie. */
static yoke_error *check_title(struct scene *s, const char *name)
{
    static const enum yoke_backend backends[] = {YOKE_BACKEND_EXEC, YOKE_BACKEND_FORK};
    char title_text[256], expected[128], comm[32], path[64];
    for (int i = 0; i < 2; i++) {
        yoke_portal *p;
        YOKE_TRY(yoke_actors_start(s->actors, name,
                                   &(yoke_actor_options){.modules = "ends", .backend = backends[i]}, &p));
        snprintf(expected, sizeof expected, "%s[%.6s]", name, yoke_portal_peer(p)->uuid);
        title_of(yoke_portal_pid(p), title_text, sizeof title_text);
        CHECK(strcmp(title_text, expected) == 0);
        YOKE_TRY(expect_word(p, "ends:title", NULL, expected));
        snprintf(expected, sizeof expected, "yoke-%.10s", name);
        snprintf(path, sizeof path, "/proc/%d/comm", (int)yoke_portal_pid(p));
        read_line_of(comm, sizeof comm, path);
        comm[strcspn(comm, "\n")] = '\0';
        CHECK(strcmp(comm, expected) == 0);
    }
    return NULL;
}
static yoke_error *check_titles(struct scene *s)
{
    char longest[65], before[256], now[256];
    memset(longest, 'n', 64);
    longest[64] = '\0';
    title_of(getpid(), before, sizeof before);
    YOKE_TRY(check_title(s, "worker"));
    YOKE_TRY(check_title(s, "w"));
    YOKE_TRY(check_title(s, longest));
    YOKE_TRY(check_title(s, "gr\xc3\xbc\xc3\x9f"));
    title_of(getpid(), now, sizeof now);
    CHECK(strcmp(before, now) == 0); /* the root's is left alone */
    return NULL;
}
/* This task does not yield meanwhile, so nobody reaps it. */
static yoke_error *see_zombie(struct scene *s)
{
    char path[64], stat[256] = "", name[64];
    YOKE_TRY(start_named(s, "short-lived-worker", "ends", &s->portal));
    snprintf(path, sizeof path, "/proc/%d/stat", (int)yoke_portal_pid(s->portal));
    snprintf(name, sizeof name, "(yoke-short-live) Z");
    kill(yoke_portal_pid(s->portal), SIGKILL);
    for (int i = 0; i < 5000 && !strstr(stat, ") Z"); i++) {
        usleep(1000);
        read_line_of(stat, sizeof stat, path);
    }
    if (!strstr(stat, name))
        return yoke_raise(&CHECK_FAILED, "no %s: %s", name, stat);
    return NULL;
}
static void test_spawn_19_title_and_comm(void **state)
{
    assert_success(tree_with_actors(check_titles, NULL));
    assert_error(tree_with_actors(see_zombie, NULL), &YOKE_ACTOR_DIED);
}

static yoke_error *look_from(struct scene *s, enum yoke_backend backend, char *text, size_t size)
{
    yoke_portal *p;
    word there;
    YOKE_TRY(yoke_actors_start(s->actors, "same",
                               &(yoke_actor_options){.modules = "ends", .backend = backend}, &p));
    YOKE_TRY(yoke_call(p, "ends:look", NULL, &there));
    snprintf(text, size, "%s", there.text);
    word_free(&there);
    return NULL;
}
static yoke_error *compare_looks(struct scene *s)
{
    char by_exec[4096], by_fork[4096];
    YOKE_TRY(look_from(s, YOKE_BACKEND_EXEC, by_exec, sizeof by_exec));
    YOKE_TRY(look_from(s, YOKE_BACKEND_FORK, by_fork, sizeof by_fork));
    if (strcmp(by_exec, by_fork) != 0)
        return yoke_raise(&CHECK_FAILED, "exec has\n%s\nand fork has\n%s", by_exec, by_fork);
    return NULL;
}
/* What both backends give a child; that both pass the whole suite is seen in the build's list of tests. */
static void test_spawn_03_same_behaviour(void **state)
{
    assert_success(tree_with_actors(compare_looks, NULL));
}

/* ---- a command of one's own ---- */

static yoke_error *start_command(struct scene *s, const char *path, yoke_portal **p)
{
    char *command[] = {(char *)path, (char *)"an argument", NULL};
    return yoke_actors_start(s->actors, "other", &(yoke_actor_options){.modules = "ends", .command = command},
                             p);
}
static bool has_errno(const yoke_error *e, int number)
{
    for (; e; e = yoke_error_cause(e))
        if (yoke_error_errno(e) == number)
            return true;
    return false;
}
static yoke_error *expect_no_exec(struct scene *s, const char *path, int number)
{
    yoke_portal *p;
    yoke_error *e = start_command(s, path, &p);
    bool told = has_errno(e, number);
    EXPECT(e, &YOKE_SPAWN_FAILED, path);
    CHECK(told && p == NULL && yoke_actors_count(s->actors) == 0);
    return NULL;
}
static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (write(fd, text, strlen(text)) < 0)
        abort();
    close(fd);
}
static yoke_error *start_commands(struct scene *s)
{
    char path[] = "/tmp/yoke-spawn-XXXXXX", self[512];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    close(mkostemp(path, O_CLOEXEC));
    unlink(path);
    YOKE_TRY(expect_no_exec(s, path, ENOENT));
    write_file(path, "#!/bin/sh\n", 0600);
    YOKE_TRY(expect_no_exec(s, path, EACCES));
    unlink(path);
    write_file(path, "neither this nor that", 0700);
    YOKE_TRY(expect_no_exec(s, path, ENOEXEC));
    write_file(path, "#!/no/such/loader\n", 0700);
    YOKE_TRY(expect_no_exec(s, path, ENOENT));
    unlink(path);
    identity there;
    YOKE_TRY(start_command(s, self, &s->portal));
    YOKE_TRY(yoke_call(s->portal, "ends:who", NULL, &there));
    bool ours = there.parent == getpid() && strcmp(there.name, "other") == 0;
    identity_free(&there);
    CHECK(ours);
    return NULL;
}
static void test_spawn_13_exec_fails(void **state)
{
    assert_success(tree_with_actors(start_commands, NULL));
}

/* ---- limits ---- */

static yoke_error *expect_limit(struct scene *s, int resource, rlim_t limit, const char *name)
{
    struct rlimit before, few;
    yoke_portal *p;
    getrlimit((__rlimit_resource_t)resource, &before);
    few = (struct rlimit){limit, before.rlim_max};
    CHECK(setrlimit((__rlimit_resource_t)resource, &few) == 0);
    yoke_error *e = start_named(s, "one-too-many", "ends", &p);
    CHECK(setrlimit((__rlimit_resource_t)resource, &before) == 0);
    EXPECT(e, &YOKE_SPAWN_FAILED, name);
    CHECK(p == NULL && yoke_actors_count(s->actors) == 1);
    return NULL;
}
/* The tree goes on, and the start succeeds when the limit is lifted. */
static yoke_error *start_within_limits(struct scene *s)
{
    yoke_portal *p;
    int lowest_free = dup(0);
    close(lowest_free);
    YOKE_TRY(start_named(s, "first", "ends", &s->portal));
    if (s->arg)
        YOKE_TRY(expect_limit(s, RLIMIT_NPROC, 0, "RLIMIT_NPROC"));
    YOKE_TRY(expect_limit(s, RLIMIT_NOFILE, (rlim_t)lowest_free, "RLIMIT_NOFILE"));
    const char *backend = getenv("YOKE_BACKEND");
    if (TREE_SLOW == 3 &&
        !(backend && strcmp(backend, "fork") == 0)) /* the sanitizers, and clones, are not limited */
        YOKE_TRY(expect_limit(s, RLIMIT_AS, 1 << 20, "RLIMIT_AS"));
    identity there;
    YOKE_TRY(yoke_call(s->portal, "ends:who", NULL, &there));
    identity_free(&there);
    return start_named(s, "second", "ends", &p);
}
/* The limit of processes is a user's, and not root's: so in a process of another one. */
static void test_spawn_14_limits(void **state)
{
    if (getuid() != 0 || getenv("YOKE_BACKEND") == NULL || strcmp(getenv("YOKE_BACKEND"), "fork") == 0) {
        assert_success(tree_with_actors(start_within_limits, NULL));
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        if (setresgid(60123, 60123, 60123) < 0 || setresuid(60123, 60123, 60123) < 0)
            _exit(2);
        yoke_error *e = tree_with_actors(start_within_limits, (void *)"processes");
        yoke_error_print(stderr, e);
        _exit(e != NULL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- starts that fail ---- */

static yoke_error *start_unknown(struct scene *s)
{
    yoke_portal *p;
    EXPECT(start_named(s, "x", "ends,nonsense", &p), &YOKE_USAGE, "nonsense");
    CHECK(p == NULL && yoke_actors_count(s->actors) == 0);
    EXPECT(yoke_actors_start(s->actors, "x", &(yoke_actor_options){.start_bound = -1}, &p), &YOKE_USAGE,
           "start_bound");
    EXPECT(yoke_actors_start(s->actors, "x", &(yoke_actor_options){.backend = 7}, &p), &YOKE_USAGE,
           "backend: 7 is none");
    yoke_actors *actors;
    EXPECT(yoke_actors_open(&actors, &(yoke_actors_options){.backend = 7}), &YOKE_USAGE,
           "backend: 7 is none");
    return NULL;
}
static void test_spawn_15_module_not_in_the_binary(void **state)
{
    assert_success(tree_with_actors(start_unknown, NULL));
}

static yoke_error *start_in_no_time(struct scene *s)
{
    yoke_portal *p;
    yoke_error *e = yoke_actors_start(s->actors, "x", &(yoke_actor_options){.start_bound = 1}, &p);
    EXPECT(e, &YOKE_SPAWN_FAILED, "x");
    CHECK(p == NULL && yoke_actors_count(s->actors) == 0);
    return start_named(s, "y", "ends", &p);
}
static void test_start_that_takes_too_long(void **state)
{
    assert_success(tree_with_actors(start_in_no_time, NULL));
}

static yoke_error *cancelled_start(struct scene *s, int64_t after)
{
    yoke_scope hurry;
    yoke_portal *p;
    YOKE_TRY(yoke_scope_open_with(&hurry, &(yoke_scope_options){.after = after, .at_once = true}));
    yoke_error *e = start_named(s, "x", "ends", &p);
    bool started = !e;
    YOKE_TRY(yoke_scope_close(&hurry, e));
    CHECK(started == (p != NULL));
    if (!started)
        CHECK(yoke_scope_cancelled_caught(&hurry) && yoke_actors_count(s->actors) == 0);
    return started ? yoke_portal_cancel_actor(p, YOKE_S(5), NULL) : NULL;
}
static yoke_error *cancel_starts(struct scene *s)
{
    for (int64_t after = 0; after < YOKE_MS(12); after += YOKE_US(400)) {
        YOKE_TRY(cancelled_start(s, after));
        while (yoke_actors_count(s->actors))
            YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
    return NULL;
}
static void test_spawn_22_cancelled_in_the_middle_of_a_start(void **state)
{
    assert_success(tree_with_actors(cancel_starts, NULL));
}

/* ---- many ---- */

struct one_start {
    struct scene *s;
    int i;
};
static yoke_error *start_and_call(void *arg)
{
    struct one_start *one = arg;
    char name[16];
    yoke_portal *p;
    identity there;
    snprintf(name, sizeof name, "n%d", one->i);
    YOKE_TRY(start_named(one->s, name, "ends", &p));
    YOKE_TRY(yoke_call(p, "ends:who", NULL, &there));
    bool right = strcmp(there.name, name) == 0 && there.parent == getpid();
    identity_free(&there);
    CHECK(right);
    return NULL;
}
static yoke_error *start_fifty(struct scene *s)
{
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 50 && !e; i++)
        e = yoke_spawn_value(&n, start_and_call, &((struct one_start){s, i}), sizeof(struct one_start));
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    CHECK(yoke_actors_count(s->actors) == 50);
    return NULL;
}
struct starts {
    struct scene *s;
    size_t most, seen;
};
static yoke_error *watch_starts(void *arg)
{
    struct starts *w = arg;
    for (;;) {
        size_t starting = 0;
        list_for_each(node, &w->s->actors->children)
            starting += container_of(node, struct child, in_nursery)->starting;
        size_t in_start = w->s->actors->in_start; /* some of them wait for the process itself */
        w->seen = in_start > w->seen ? in_start : w->seen;
        CHECK(starting <= w->most && in_start <= w->most);
        YOKE_TRY(yoke_sleep(YOKE_US(200)));
    }
}
static yoke_error *start_fifty_task(void *arg)
{
    struct starts *w = ((void **)arg)[0];
    yoke_error *e = start_fifty(w->s);
    yoke_nursery_cancel(((void **)arg)[1], "all are up");
    return e;
}
static yoke_error *start_few_at_once(struct scene *s)
{
    struct starts w = {s, 3, 0};
    yoke_nursery n;
    s->actors->options.starts_at_once = w.most;
    YOKE_TRY(yoke_nursery_open(&n));
    void *arg[] = {&w, &n};
    yoke_error *e = yoke_spawn(&n, watch_starts, &w);
    if (!e)
        e = yoke_spawn(&n, start_fifty_task, arg);
    YOKE_TRY(yoke_nursery_close_flat(&n, e));
    CHECK(w.seen == w.most);
    return NULL;
}
static void test_spawn_21_start_many_at_once(void **state)
{
    assert_success(tree_with_actors(start_fifty, NULL));
    assert_success(tree_with_actors(start_few_at_once, NULL));
}

static yoke_error *start_in_turn(struct scene *s)
{
    for (int i = 0; i < 40; i++) {
        yoke_portal *p;
        YOKE_TRY(start_named(s, "x", "ends", &p));
        YOKE_TRY(yoke_portal_cancel_actor(p, YOKE_S(5), NULL));
        while (yoke_actors_count(s->actors))
            YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
    return NULL;
}
static void test_forty_actors_in_turn(void **state)
{
    assert_success(tree_with_actors(start_in_turn, NULL));
}

/* Threads that are in malloc and under a lock of their own at any moment. */
static atomic_bool busy;
static void *allocate(void *arg)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    while (atomic_load(&busy)) {
        pthread_mutex_lock(&lock);
        char *text = strdup("taken");
        pthread_mutex_unlock(&lock);
        free(text);
    }
    return NULL;
}
static yoke_error *start_beside_threads(struct scene *s)
{
    enum { THREADS = 8, CHILDREN = 200 };
    static const enum yoke_backend backends[] = {YOKE_BACKEND_EXEC, YOKE_BACKEND_FORK};
    pthread_t threads[THREADS];
    yoke_error *e = NULL;
    atomic_store(&busy, true);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, allocate, NULL);
    for (int i = 0; i < 2 * CHILDREN / (TREE_SLOW - 2) && !e; i++) {
        yoke_portal *p;
        e = yoke_actors_start(s->actors, "x",
                              &(yoke_actor_options){.modules = "tree", .backend = backends[i & 1]}, &p);
        if (!e)
            e = yoke_call(p, "tree:ping", NULL, NULL);
        if (!e)
            e = yoke_portal_cancel_actor(p, YOKE_S(5), NULL);
    }
    atomic_store(&busy, false);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return e;
}
static void test_spawn_31_spawn_with_threads(void **state)
{
    assert_success(tree_with_actors(start_beside_threads, NULL));
}

/* Both backends in one nursery, whatever the default is. */
static yoke_error *mix_backends(struct scene *s)
{
    static const enum yoke_backend backends[] = {YOKE_BACKEND_EXEC, YOKE_BACKEND_FORK};
    for (int i = 0; i < 4; i++) {
        yoke_portal *p;
        YOKE_TRY(yoke_actors_start(s->actors, "x",
                                   &(yoke_actor_options){.modules = "ends", .backend = backends[i & 1]}, &p));
        identity there;
        YOKE_TRY(yoke_call(p, "ends:who", NULL, &there));
        bool ours = there.parent == getpid();
        identity_free(&there);
        CHECK(ours);
    }
    return NULL;
}
static void test_both_backends_in_one_nursery(void **state)
{
    assert_success(tree_with_actors(mix_backends, NULL));
}

/* ---- outside ---- */

static void test_calls_outside_of_an_actor(void **state)
{
    yoke_actors *actors;
    assert_null(yoke_current_actor());
    assert_false(yoke_is_root());
    assert_error(yoke_actors_open(&actors, NULL), &YOKE_NO_RUNTIME);
    assert_null(actors);
}

TREE_MAIN(TEST(test_spawn_01_02_06_own_child_with_its_own_state), TEST(test_spawn_04_names),
          TEST(test_spawn_08_recursion_to_depth_four), TEST(test_spawn_30_environment_as_it_is_now),
          TEST(test_spawn_17_descriptors), TEST(test_spawn_28_signals_in_a_child),
          TEST(test_spawn_10_log_level_goes_down), TEST(test_spawn_26_exposure_is_the_parents_word),
          TEST(test_spawn_15_module_not_in_the_binary), TEST(test_start_that_takes_too_long),
          TEST(test_spawn_22_cancelled_in_the_middle_of_a_start), TEST(test_spawn_21_start_many_at_once),
          TEST(test_spawn_19_title_and_comm), TEST(test_spawn_03_same_behaviour),
          TEST(test_spawn_13_exec_fails), TEST(test_spawn_14_limits), TEST(test_forty_actors_in_turn),
          TEST(test_both_backends_in_one_nursery), TEST(test_spawn_31_spawn_with_threads),
          TEST(test_calls_outside_of_an_actor))
