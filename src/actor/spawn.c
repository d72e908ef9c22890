#include "actor/spawn.h"

#include "actor/freeze.h"
#include "actor/module.h"
#include "actor/orphan.h"
#include "actor/server.h"
#include "actor/zygote.h"
#include "base/memory.h"
#include "ipc/transport.h"
#include "msg/pack.h"
#include "msg/record.h"
#include "task/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

/* ---- exec ---- */

char **spawn_environment(const char *uuid)
{
    size_t count = 0, mark_bytes = sizeof ORPHAN_MARK + strlen(uuid) + 1;
    for (char **v = environ; v && *v; v++)
        count++;
    char **block = memory_alloc((count + 2) * sizeof *block + mark_bytes), **to = block;
    if (!block)
        return NULL;
    for (char **v = environ; v && *v; v++)
        if (strncmp(*v, ORPHAN_MARK "=", sizeof ORPHAN_MARK) != 0)
            *to++ = *v;
    char *mark = (char *)(block + count + 2);
    snprintf(mark, mark_bytes, ORPHAN_MARK "=%s", uuid);
    *to++ = mark;
    *to = NULL;
    return block;
}

void spawn_title(const char *name, const char *uuid, char title[SPAWN_TITLE_BYTES])
{
    snprintf(title, SPAWN_TITLE_BYTES, "%s[%.6s]", name, uuid);
}

/* `command`, or `title`, with one argument more. memory_free. */
static char **arguments_of(const struct spawn_plan *plan, char *role)
{
    size_t count = 0;
    while (plan->command && plan->command[count])
        count++;
    char **argv = memory_alloc((count + 3) * sizeof *argv), **to = argv;
    if (!argv)
        return NULL;
    for (size_t i = 0; i < count; i++)
        *to++ = plan->command[i];
    if (!plan->command)
        *to++ = (char *)plan->title;
    *to++ = role;
    *to = NULL;
    return argv;
}

yoke_error *spawn_program(const struct spawn_plan *plan, yoke_process **out)
{
    char role[48];
    snprintf(role, sizeof role, "%s%d", plan->option, (int)getpid());
    int open_fds[SPAWN_FDS_MAX];
    /* A program may run without standard descriptors: its children get /dev/null. */
    for (size_t i = 0; i < plan->count; i++)
        open_fds[i] = fcntl(plan->fds[i], F_GETFD) < 0 ? -1 : plan->fds[i];
    char **environment = spawn_environment(plan->uuid), **argv = arguments_of(plan, role);
    yoke_error *e = environment && argv ? NULL : yoke_raise(&YOKE_NO_MEMORY, "starting a child");
    yoke_process_options options = {.environment = environment,
                                    .fds = open_fds,
                                    .fd_count = plan->count,
                                    .program = plan->command ? NULL : "/proc/self/exe"};
    /* What comes to the whole group is the root's, also before the child can say so (interrupt_birth). */
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    if (!e)
        e = process_open_masked(out, argv, &options, &mask);
    memory_free(environment);
    memory_free(argv);
    return e;
}

/* The child's ends of its channel and its crash pipe. */
struct ends {
    int channel, crash;
};

static yoke_error *spawn_exec(struct actor *a, char *const *command, const yoke_uid *uid,
                              const struct ends *child, yoke_process **process)
{
    char title[SPAWN_TITLE_BYTES];
    int fds[] = {0, 1, 2, child->channel, child->crash};
    spawn_title(uid->name, uid->uuid, title);
    struct spawn_plan plan = {command, title, SPAWN_CHILD_OPTION, uid->uuid, fds, 5};
    return spawn_program(&plan, process);
}

static yoke_error *spawn_fork(struct actor *a, char *const *command, const yoke_uid *uid,
                              const struct ends *child, yoke_process **process)
{
    return zygote_spawn(a, uid, child->channel, child->crash, process);
}

/* ---- backends ---- */

struct spawn_backend {
    const char *name;
    yoke_error *(*spawn)(struct actor *a, char *const *command, const yoke_uid *uid, const struct ends *child,
                         yoke_process **process);
};

static const struct spawn_backend backends[] = {
    [YOKE_BACKEND_EXEC] = {"exec", spawn_exec},
    [YOKE_BACKEND_FORK] = {"fork", spawn_fork},
};

static yoke_error *open_pipe(int fds[2])
{
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0)
        return NULL;
    return yoke_raise_errno(errno, "a pipe for crash reports");
}

/* Which limit it may be that a start has met. */
static const struct {
    int error, resource;
    const char *name;
} limits[] = {
    {EAGAIN, RLIMIT_NPROC, "RLIMIT_NPROC (processes of this user)"},
    {EMFILE, RLIMIT_NOFILE, "RLIMIT_NOFILE (open descriptors)"},
    {ENOMEM, RLIMIT_AS, "RLIMIT_AS (address space, bytes)"},
};

static yoke_error *note_limit(yoke_error *e)
{
    struct rlimit limit;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (yoke_error_errno(e) == limits[i].error &&
            getrlimit((__rlimit_resource_t)limits[i].resource, &limit) == 0 &&
            limit.rlim_cur != RLIM_INFINITY)
            yoke_error_note(e, "the limit %s is %llu", limits[i].name, (unsigned long long)limit.rlim_cur);
    return e;
}

static yoke_error *open_ends(int channel[2], int crash[2])
{
    YOKE_TRY(transport_uds.pair(channel));
    yoke_error *e = open_pipe(crash);
    if (e) {
        close(channel[0]);
        close(channel[1]);
    }
    return e;
}

yoke_error *spawn_check_backend(enum yoke_backend backend)
{
    if (backend < YOKE_BACKEND_DEFAULT || backend > YOKE_BACKEND_FORK)
        return yoke_raise(&YOKE_USAGE, "backend: %d is none", (int)backend);
    return NULL;
}

yoke_error *spawn_process(struct actor *a, enum yoke_backend backend, char *const *command,
                          const yoke_uid *uid, struct spawned *out)
{
    int channel[2], crash[2];
    yoke_error *e = open_ends(channel, crash);
    if (e)
        return note_limit(e);
    struct ends child = {channel[1], crash[1]};
    const struct spawn_backend *b =
        &backends[backend == YOKE_BACKEND_FORK && !command ? YOKE_BACKEND_FORK : YOKE_BACKEND_EXEC];
    e = b->spawn(a, command, uid, &child, &out->process);
    close(channel[1]);
    close(crash[1]);
    out->channel_fd = channel[0];
    out->crash_fd = crash[0];
    if (!e)
        return NULL;
    close(channel[0]);
    close(crash[0]);
    if (yoke_error_is_cancelled(e) || yoke_error_is(e, &YOKE_INTERRUPTED))
        return e;
    return yoke_wrap(note_limit(e), &YOKE_SPAWN_FAILED, "backend `%s`", b->name);
}

/* ---- the SpawnSpec ---- */

/* What our children need beyond the protocol's own fields. */
YOKE_RECORD(spawn_extra, (boolean, debug_mode), (boolean, no_dump), (u8, backend), (str, log_filter),
            (list, str, modules), (list, str, files), (str, directory), (str, root), (str, transport),
            (str, secret), (boolean, lets_strangers_in), (i64, lost_bound), (u32, debug_words),
            (boolean, frozen), (u64, output));
YOKE_RECORD(runtime_vars, (boolean, _is_root), (any, _root_mailbox), (list, any, _root_addrs),
            (list, str, _enable_tpts), (list, any, _registry_addrs), (boolean, _debug_mode),
            (boolean, _is_infected_aio));

/* {name: the shared object that it is in, or the name again} */
static bool pack_modules(struct buffer *out, const char *const *modules)
{
    size_t count = 0;
    while (modules[count])
        count++;
    struct pack p;
    pack_begin(&p, out, SIZE_MAX);
    msgpack_pack_map(&p.packer, count);
    for (size_t i = 0; i < count; i++) {
        const yoke_module *m = module_find(text_view(modules[i]));
        const char *where = m && m->file ? m->file : modules[i];
        pack_text(&p, modules[i], strlen(modules[i]));
        pack_text(&p, where, strlen(where));
    }
    if (p.fault == PACK_FINE)
        return true;
    pack_undo(&p);
    return false;
}

bool spawn_debug_mode(const yoke_actors *actors, const yoke_actor_options *o)
{
    int nursery = actors->options.debug_mode;
    if (o->debug_mode)
        return o->debug_mode > 0;
    return nursery ? nursery > 0 : actors->actor->debug_mode;
}

static struct raw_view view(const struct buffer *b)
{
    return (struct raw_view){buffer_begin(b), buffer_size(b)};
}

static yoke_error *encode_vars(struct buffer *out, const struct actor *a, bool debug_mode)
{
    const char *transports[] = {a->network.transport->name};
    struct buffer pair = BUFFER_EMPTY;
    size_t count = a->root.kind != ADDRESS_NONE;
    if (count && !address_pack(&pair, &a->root))
        return yoke_raise(&YOKE_NO_MEMORY, "the root's address");
    yoke_value root = {buffer_begin(&pair), buffer_size(&pair)};
    runtime_vars vars = {._root_mailbox = root,
                         ._root_addrs = {&root, count},
                         ._enable_tpts = {transports, 1},
                         ._registry_addrs = {&root, count},
                         ._debug_mode = debug_mode};
    yoke_error *e = record_encode(out, &yoke_record_runtime_vars, &vars, "runtime_vars");
    buffer_free(&pair);
    return e;
}

static yoke_error *post_spec(struct peer *peer, const spawn_extra *extra, const char *const *modules,
                             struct buffer b[3])
{
    static const uint8_t empty_map[] = {0x80}, empty_array[] = {0x90}, nil[] = {0xc0};
    YOKE_TRY(encode_vars(&b[0], peer->actor, extra->debug_mode));
    YOKE_TRY(record_encode(&b[1], &yoke_record_spawn_extra, extra, "yoke"));
    if (!pack_modules(&b[2], modules))
        return yoke_raise(&YOKE_NO_MEMORY, "a list of modules");
    struct msg m = {
        .type = MSG_SPAWN_SPEC,
        .spawn_spec =
            {
                .parent_main_data = {empty_map, 1},
                .runtime_vars = view(&b[0]),
                .enable_modules = view(&b[2]),
                .reg_addrs = {empty_array, 1},
                .bind_addrs = {nil, 1},
                .yoke = view(&b[1]),
            },
    };
    return channel_post(peer->channel, &m);
}

/* The shared objects that the modules are in. */
static yoke_error *list_files(const char **modules, const char ***files, size_t *count)
{
    size_t room = 0;
    while (modules[room])
        room++;
    *files = memory_calloc(room + 1, sizeof **files);
    if (!*files)
        return yoke_raise(&YOKE_NO_MEMORY, "a list of modules");
    *count = 0;
    for (const char **name = modules; *name; name++) {
        const yoke_module *m = module_find(text_view(*name));
        if (m && m->file)
            (*files)[(*count)++] = m->file;
    }
    return NULL;
}

yoke_error *spawn_send_spec(struct peer *peer, yoke_actors *actors, const yoke_actor_options *o,
                            const char **modules)
{
    struct actor *a = actors->actor;
    char root[ADDRESS_TEXT_BYTES] = "";
    const char **files;
    size_t file_count;
    YOKE_TRY(list_files(modules, &files, &file_count));
    server_know_root(a);
    if (a->root.kind != ADDRESS_NONE)
        address_print(&a->root, root);
    spawn_extra extra = {
        .debug_mode = spawn_debug_mode(actors, o),
        .debug_words = a->debug_words,
        .frozen = freeze_is_on(a),
        .output = a->output,
        .no_dump = a->no_dump,
        .backend = (uint8_t)actors->options.backend,
        .log_filter = o->log_filter ? o->log_filter : yoke_log_filter(),
        .directory = a->directory,
        .root = root,
        .transport = a->network.transport->name,
        .secret = a->network.secret,
        .lets_strangers_in = a->network.lets_strangers_in,
        .lost_bound = a->network.lost_bound,
    };
    extra.files.items = files;
    extra.files.count = file_count;
    extra.modules.items = modules;
    while (modules[extra.modules.count])
        extra.modules.count++;
    struct buffer b[3] = {BUFFER_EMPTY, BUFFER_EMPTY, BUFFER_EMPTY};
    yoke_error *e = post_spec(peer, &extra, modules, b);
    for (int i = 0; i < 3; i++)
        buffer_free(&b[i]);
    memory_free(files);
    return e;
}

/* ---- the child's side ---- */

static yoke_error *copy_names(const char ***out, const char *const *names, size_t count)
{
    *out = memory_calloc(count + 1, sizeof **out);
    if (!*out)
        return yoke_raise(&YOKE_NO_MEMORY, "a list of modules");
    for (size_t i = 0; i < count; i++) {
        (*out)[i] = memory_strdup(names[i]);
        if (!(*out)[i])
            return yoke_raise(&YOKE_NO_MEMORY, "a list of modules");
    }
    return NULL;
}

static yoke_error *take_network(struct network *n, const spawn_extra *extra)
{
    n->transport = transport_called(extra->transport);
    n->lets_strangers_in = extra->lets_strangers_in;
    n->lost_bound = extra->lost_bound;
    snprintf(n->secret, sizeof n->secret, "%s", extra->secret);
    return n->transport ? NULL : yoke_raise(&YOKE_PROTOCOL, "no transport `%s`", extra->transport);
}

static yoke_error *take_extra(struct actor *a, const spawn_extra *extra)
{
    a->debug_mode = extra->debug_mode;
    a->debug_words = extra->debug_words;
    freeze_by_parent(a, extra->frozen);
    a->output = extra->output;
    a->no_dump = extra->no_dump;
    a->backend = extra->backend == YOKE_BACKEND_FORK ? YOKE_BACKEND_FORK : YOKE_BACKEND_EXEC;
    YOKE_TRY(yoke_log_set(extra->log_filter));
    YOKE_TRY(take_network(&a->network, extra));
    if (*extra->root)
        YOKE_TRY(address_parse(&a->root, extra->root));
    snprintf(a->directory, sizeof a->directory, "%s", extra->directory);
    YOKE_TRY(copy_names(&a->modules, extra->modules.items, extra->modules.count));
    return copy_names(&a->module_files, extra->files.items, extra->files.count);
}

yoke_error *spawn_take_spec(struct actor *a, const struct msg *m)
{
    if (m->type != MSG_SPAWN_SPEC)
        return yoke_raise(&YOKE_PROTOCOL, "the parent sent a %s and not the SpawnSpec",
                          msg_type_name(m->type));
    if (!m->spawn_spec.yoke.data)
        return yoke_raise(&YOKE_PROTOCOL, "the SpawnSpec is not one of a yoke actor");
    spawn_extra extra;
    YOKE_TRY(record_decode(&yoke_record_spawn_extra, m->spawn_spec.yoke.data, m->spawn_spec.yoke.size, "yoke",
                           &extra));
    yoke_error *e = take_extra(a, &extra);
    spawn_extra_free(&extra);
    return e;
}
