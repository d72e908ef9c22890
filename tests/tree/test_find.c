/* Actors that are neither parent nor child find each other by name, speak, and end each other. */
#include "raw_peer.h"
#include "stranger.h"

#include "actor/registrar.h"
#include "actor/runtime.h"
#include "msg/cursor.h"

/* ---- what the actors serve ---- */

YOKE_RECORD(line, (str, text));
YOKE_RECORD(who, (str, name));

static yoke_error *hi(const who *args, line *result)
{
    char *text;
    if (asprintf(&text, "hi %s, i am %s", args->name, yoke_current_actor()->name) < 0)
        return yoke_raise(&YOKE_NO_MEMORY, "a line");
    yoke_value copy;
    line mine = {text};
    yoke_error *e = yoke_value_from(&copy, &yoke_record_line, &mine);
    if (!e)
        e = yoke_value_to(&copy, &yoke_record_line, result);
    yoke_value_free(&copy);
    free(text);
    return e;
}

/* Waits for the other's name and calls it. */
static yoke_error *greet(const who *args, line *result)
{
    yoke_portal *other;
    YOKE_TRY(yoke_wait_for(args->name, &other));
    return yoke_portal_close(other,
                             yoke_call(other, "dialogue:hi", &(who){yoke_current_actor()->name}, result));
}

/* Ends another actor, that is neither its parent nor its child. */
static yoke_error *end_other(const who *args, yoke_type_boolean *result)
{
    yoke_portal *other;
    YOKE_TRY(yoke_wait_for(args->name, &other));
    return yoke_portal_close(other, yoke_portal_cancel_actor(other, 0, result));
}

YOKE_MODULE(dialogue, YOKE_CALL(hi, who, line), YOKE_CALL(greet, who, line),
            YOKE_CALL(end_other, who, boolean));

static yoke_error *start(struct scene *s, const char *name, yoke_portal **portal)
{
    return yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = "dialogue"}, portal);
}

static yoke_error *expect_line(line *l, const char *text)
{
    bool same = strcmp(l->text, text) == 0;
    line_free(l);
    return same ? NULL : yoke_raise(&CHECK_FAILED, "another line than: %s", text);
}

/* ---- SPAWN-09 ---- */

struct greeting {
    yoke_portal *portal;
    const char *other;
    line line;
};

static yoke_error *ask_to_greet(void *arg)
{
    struct greeting *g = arg;
    return yoke_call(g->portal, "dialogue:greet", &(who){g->other}, &g->line);
}

static yoke_error *two_siblings(struct scene *s, const char *first, const char *second)
{
    struct greeting earlier = {.other = second}, later = {.other = first};
    char text[80];
    yoke_nursery n;
    YOKE_TRY(start(s, first, &earlier.portal));
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, ask_to_greet, &earlier);
    if (!e) /* it waits already, as far as that can be made sure */
        e = yoke_sleep(YOKE_MS(20));
    if (!e)
        e = start(s, second, &later.portal);
    if (!e)
        e = yoke_spawn(&n, ask_to_greet, &later);
    YOKE_TRY(yoke_nursery_close(&n, e));
    snprintf(text, sizeof text, "hi %s, i am %s", first, second);
    YOKE_TRY(expect_line(&earlier.line, text));
    snprintf(text, sizeof text, "hi %s, i am %s", second, first);
    return expect_line(&later.line, text);
}

static yoke_error *donny_first(struct scene *s)
{
    return two_siblings(s, "donny", "gretchen");
}

static yoke_error *gretchen_first(struct scene *s)
{
    return two_siblings(s, "gretchen", "donny");
}

static yoke_error *asked_twice(struct scene *s)
{
    yoke_portal *theatre;
    line answer;
    YOKE_TRY(start(s, "frank", &theatre));
    for (int i = 0; i < 2; i++) {
        YOKE_TRY(yoke_call(theatre, "dialogue:hi", &(who){"root"}, &answer));
        YOKE_TRY(expect_line(&answer, "hi root, i am frank"));
    }
    return NULL;
}

static void test_spawn_09_two_actors_talk(void **state)
{
    assert_success(tree_with_actors(asked_twice, NULL));
    assert_success(tree_with_actors(donny_first, NULL));
    assert_success(tree_with_actors(gretchen_first, NULL));
}

/* ---- cancelled by a third actor ---- */

static yoke_error *cancelled_by_a_sibling(struct scene *s)
{
    yoke_portal *canceller, *victim;
    bool acknowledged = false;
    YOKE_TRY(start(s, "canceller", &canceller));
    YOKE_TRY(start(s, "victim", &victim));
    YOKE_TRY(yoke_call(canceller, "dialogue:end_other", &(who){"victim"}, &acknowledged));
    CHECK(acknowledged);
    int64_t begin = yoke_now();
    while (yoke_actors_count(s->actors) == 2 && tree_ms_since(begin) < 500 * TREE_SLOW)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    CHECK(yoke_actors_count(s->actors) == 1);
    line l;
    YOKE_TRY(yoke_call(canceller, "dialogue:hi", &(who){"root"}, &l));
    return expect_line(&l, "hi root, i am canceller");
}

/* Its end is no failure: the nursery goes on and closes in peace. */
static void test_cancelled_by_a_sibling(void **state)
{
    assert_success(tree_with_actors(cancelled_by_a_sibling, NULL));
}

/* ---- one below the other ---- */

YOKE_RECORD(pid, (i64, pid));

/* A middle: starts children of the names that it is told, and holds them. */
YOKE_RECORD(names, (list, str, names));

static yoke_error *start_all(yoke_actors *actors, const names *args)
{
    for (size_t i = 0; i < args->names.count; i++) {
        yoke_portal *portal;
        YOKE_TRY(yoke_actors_start(actors, args->names.items[i],
                                   &(yoke_actor_options){.modules = "dialogue,below"}, &portal));
    }
    return NULL;
}

static yoke_error *hold_children(yoke_context *ctx, const names *args, yoke_type_none *result)
{
    yoke_actors *actors;
    YOKE_TRY(yoke_actors_open(&actors, NULL));
    yoke_error *e = start_all(actors, args);
    if (!e)
        e = yoke_context_started(ctx, NULL);
    return yoke_actors_close(actors, e ? e : yoke_sleep_forever());
}

static yoke_error *own_pid(const yoke_type_none *args, pid *result)
{
    result->pid = getpid();
    return NULL;
}

/* What the one below finds of another: its pid, or 0. */
static yoke_error *pid_of(const who *args, pid *result)
{
    yoke_portal *other;
    YOKE_TRY(yoke_find(args->name, &other));
    result->pid = other ? yoke_portal_pid(other) : 0;
    return yoke_portal_close(other, NULL);
}

static yoke_error *address_of(const who *args, line *result)
{
    char *address;
    YOKE_TRY(yoke_query(args->name, &address, NULL));
    yoke_value copy;
    line mine = {address};
    yoke_error *e = yoke_value_from(&copy, &yoke_record_line, &mine);
    if (!e)
        e = yoke_value_to(&copy, &yoke_record_line, result);
    yoke_value_free(&copy);
    free(address);
    return e;
}

YOKE_MODULE(below, YOKE_CONTEXT(hold_children, names, none, none), YOKE_CALL(own_pid, none, pid),
            YOKE_CALL(pid_of, who, pid), YOKE_CALL(address_of, who, line));

static yoke_error *start_below(struct scene *s, const char *name, yoke_portal **portal)
{
    return yoke_actors_start(s->actors, name, &(yoke_actor_options){.modules = "dialogue,below"}, portal);
}

/* With a middle that has the named children (NULL-terminated); s->portal is the middle's. */
static yoke_error *with_middle(struct scene *s, const char **children, scene_fn fn)
{
    names args = {{children, 0}};
    while (children[args.names.count])
        args.names.count++;
    YOKE_TRY(start_below(s, "middle", &s->portal));
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "below:hold_children", &args, NULL));
    yoke_error *e = fn(s);
    if (!e)
        e = yoke_context_cancel(s->ctx);
    return yoke_context_close(s->ctx, e);
}

/* Waits till the root knows `count` actors, itself included. */
static yoke_error *wait_registered(size_t count)
{
    int64_t begin = yoke_now();
    while (actor_here()->registry.by_uuid.count + 1 != count) {
        if (tree_ms_since(begin) > 1000 * TREE_SLOW)
            return yoke_raise(&CHECK_FAILED, "%zu actors are registered and not %zu",
                              actor_here()->registry.by_uuid.count + 1, count);
        YOKE_TRY(yoke_sleep(YOKE_MS(2)));
    }
    return NULL;
}

/* ---- find ---- */

static yoke_error *find_a_grandchild(struct scene *s)
{
    yoke_portal *leaf, *by_uuid, *none, *sibling;
    pid there, seen;
    YOKE_TRY(yoke_find("leaf", &leaf));
    CHECK(leaf && strcmp(yoke_portal_peer(leaf)->name, "leaf") == 0);
    YOKE_TRY(yoke_call(leaf, "below:own_pid", NULL, &there));
    CHECK(there.pid == yoke_portal_pid(leaf) && there.pid != getpid());
    CHECK(yoke_portal_user(leaf) == (tree_on_tcp() ? (uid_t)-1 : geteuid()) &&
          yoke_portal_is_connected(leaf));
    char uuid[37];
    strcpy(uuid, yoke_portal_peer(leaf)->uuid);
    YOKE_TRY(yoke_portal_close(leaf, NULL));
    YOKE_TRY(yoke_find(uuid, &by_uuid)); /* an uuid does as well */
    CHECK(by_uuid && yoke_portal_pid(by_uuid) == there.pid);
    YOKE_TRY(yoke_portal_close(by_uuid, NULL));
    YOKE_TRY(yoke_find("nobody", &none));
    CHECK(!none);
    EXPECT(yoke_find_existing("nobody", &none), &YOKE_ACTOR_NOT_FOUND, "there are: root, middle, leaf");
    YOKE_TRY(yoke_find_existing("leaf", &leaf));
    YOKE_TRY(yoke_portal_close(leaf, NULL));
    EXPECT(yoke_find("", &none), &YOKE_USAGE, "no name");
    /* From the other side of the tree. */
    YOKE_TRY(start_below(s, "sibling", &sibling));
    YOKE_TRY(yoke_call(sibling, "below:pid_of", &(who){"leaf"}, &seen));
    CHECK(seen.pid == there.pid);
    YOKE_TRY(yoke_call(sibling, "below:pid_of", &(who){"nobody"}, &seen));
    return seen.pid == 0 ? NULL : yoke_raise(&CHECK_FAILED, "nobody was found");
}

static yoke_error *find_in_a_tree(struct scene *s)
{
    return with_middle(s, (const char *[]){"leaf", NULL}, find_a_grandchild);
}

static void test_reg_03_find(void **state)
{
    assert_success(tree_with_actors(find_in_a_tree, NULL));
}

/* ---- wait ---- */

static yoke_error *wait_and_close(void *arg)
{
    yoke_portal *portal;
    YOKE_TRY(yoke_wait_for("late", &portal));
    ++*(int *)arg;
    return yoke_portal_close(portal, NULL);
}

static bool nobody_waits(void)
{
    return list_empty(&actor_here()->registry.waiters);
}

/* Three wait in the root, one by a child; another child's wait is cancelled before. */
static yoke_error *wait_in_many(struct scene *s)
{
    yoke_portal *child, *late;
    struct greeting by_child = {.other = "late"}, cancelled = {.other = "late"};
    int woken = 0;
    yoke_nursery n;
    yoke_scope given_up;
    YOKE_TRY(start(s, "child", &child));
    by_child.portal = cancelled.portal = child;
    YOKE_TRY(yoke_move_on_after(&given_up, YOKE_MS(50)));
    YOKE_TRY(yoke_scope_close(&given_up, ask_to_greet(&cancelled)));
    CHECK(yoke_scope_cancelled_caught(&given_up));
    int64_t begin = yoke_now();
    while (!nobody_waits() && tree_ms_since(begin) < 1000 * TREE_SLOW)
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    CHECK(nobody_waits()); /* the cancelled wait has left nothing */
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = NULL;
    for (int i = 0; i < 3 && !e; i++)
        e = yoke_spawn(&n, wait_and_close, &woken);
    if (!e)
        e = yoke_spawn(&n, ask_to_greet, &by_child);
    if (!e)
        e = yoke_sleep(YOKE_MS(50));
    bool early = woken > 0;
    if (!e)
        e = start(s, "late", &late);
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(!early && woken == 3 && nobody_waits());
    YOKE_TRY(expect_line(&by_child.line, "hi child, i am late"));
    YOKE_TRY(wait_and_close(&woken)); /* who comes later is answered at once */
    CHECK(woken == 4);
    return NULL;
}

static void test_reg_04_wait(void **state)
{
    assert_success(tree_with_actors(wait_in_many, NULL));
}

/* ---- query ---- */

static yoke_error *query_a_child(struct scene *s)
{
    yoke_portal *child, *other;
    char *address, path[128];
    int64_t age = -1;
    line from_child;
    YOKE_TRY(start(s, "child", &child));
    YOKE_TRY(start_below(s, "other", &other));
    YOKE_TRY(yoke_sleep(YOKE_MS(5)));
    YOKE_TRY(yoke_query("child", &address, &age));
    CHECK(address && (tree_on_tcp() ? strncmp(address, "tcp:127.0.0.1:", 14) == 0
                                    : strncmp(address, "unix:", 5) == 0 && access(address + 5, F_OK) == 0));
    CHECK(age >= YOKE_MS(5) && age < YOKE_S(100));
    snprintf(path, sizeof path, "%s", address);
    free(address);
    YOKE_TRY(yoke_call(other, "below:address_of", &(who){"child"}, &from_child));
    bool same = strcmp(from_child.text, path) == 0;
    line_free(&from_child);
    CHECK(same);
    YOKE_TRY(yoke_query("nobody", &address, &age));
    CHECK(!address);
    /* The target was not connected to: its one peer is its parent. */
    char *text;
    YOKE_TRY(yoke_query("child", &text, NULL));
    free(text);
    size_t peers = 0;
    list_for_each(node, &actor_here()->peers)
        peers++;
    CHECK(peers == 2);
    /* The answer may be stale: the one that it tells of has ended. */
    YOKE_TRY(yoke_portal_cancel_actor(child, 0, NULL));
    YOKE_TRY(wait_registered(2));
    EXPECT(yoke_connect(path, &child, NULL), &YOKE_CONNECT_FAILED,
           tree_on_tcp() ? "nobody listens there" : "there is no such file");
    return NULL;
}

/* REG-05 */
static void test_reg_05_query(void **state)
{
    char *address;
    assert_error(yoke_query("root", &address, NULL), &YOKE_NO_RUNTIME);
    assert_success(tree_with_actors(query_a_child, NULL));
}

/* ---- the registry follows the tree ---- */

static yoke_error *tree_changes(struct scene *s)
{
    yoke_portal *leaf;
    YOKE_TRY(wait_registered(4));
    YOKE_TRY(yoke_find("leaf-1", &leaf));
    YOKE_TRY(yoke_portal_cancel_actor(leaf, 0, NULL));
    YOKE_TRY(yoke_portal_close(leaf, NULL));
    return wait_registered(3);
}

static yoke_error *registered_and_gone(struct scene *s)
{
    YOKE_TRY(wait_registered(1));
    YOKE_TRY(with_middle(s, (const char *[]){"leaf-0", "leaf-1", NULL}, tree_changes));
    YOKE_TRY(wait_registered(2)); /* the middle lives on, its children are gone */
    YOKE_TRY(yoke_portal_cancel_actor(s->portal, 0, NULL));
    return wait_registered(1);
}

static void test_present_while_alive(void **state)
{
    assert_success(tree_with_actors(registered_and_gone, NULL));
}

/* A middle that is killed takes what was below it along. */
static yoke_error *kill_the_middle(struct scene *s)
{
    yoke_portal *leaf;
    YOKE_TRY(wait_registered(3));
    YOKE_TRY(yoke_find("leaf", &leaf));
    YOKE_TRY(yoke_portal_close(leaf, NULL));
    kill(yoke_portal_pid(s->portal), SIGKILL);
    YOKE_TRY(wait_registered(1));
    return yoke_sleep_forever(); /* the nursery knows of the death */
}

static yoke_error *killed_middle(struct scene *s)
{
    return with_middle(s, (const char *[]){"leaf", NULL}, kill_the_middle);
}

static yoke_error *waits_for_ever(void *arg)
{
    int *woken = arg;
    yoke_portal *portal;
    YOKE_TRY(yoke_wait_for("child", &portal));
    ++*woken;
    return yoke_portal_close(portal, NULL);
}

/* The entry goes, though nobody looks for it; who waits for the name is not woken by that. */
static yoke_error *kill_a_child(struct scene *s)
{
    yoke_portal *child;
    int woken = 0;
    YOKE_TRY(start(s, "child", &child));
    YOKE_TRY(wait_registered(2));
    kill(yoke_portal_pid(child), SIGKILL);
    YOKE_TRY(wait_registered(1));
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, waits_for_ever, &woken);
    return yoke_nursery_close(&n, e ? e : yoke_sleep_forever());
}

/* REG-25 */
static void test_reg_25_killed_actors(void **state)
{
    assert_error_text(tree_with_actors(killed_middle, NULL), &YOKE_ACTOR_DIED, "actor `middle`");
    assert_error_text(tree_with_actors(kill_a_child, NULL), &YOKE_ACTOR_DIED, "actor `child`");
}

/* ---- entries that nobody vouches for ---- */

YOKE_RECORD(registration, (list, str, uid), (any, addr));

/* As an actor of another implementation does: by a connection made for the call. */
static yoke_error *register_there(struct channel *c, const yoke_uid *uid, const char *address)
{
    struct address where;
    struct buffer pair = BUFFER_EMPTY;
    const char *parts[] = {uid->name, uid->uuid};
    yoke_uid root;
    enum msg_flag registrar;
    struct msg m;
    YOKE_TRY(stranger_say_aid(c, uid, 0, false));
    YOKE_TRY(stranger_hear_aid(c, &root, &registrar));
    CHECK(registrar == MSG_FLAG_TRUE && yoke_uid_equal(&root, yoke_current_actor()));
    YOKE_TRY(address_parse(&where, address));
    CHECK(address_pack(&pair, &where));
    registration args = {{parts, 2}, {buffer_begin(&pair), buffer_size(&pair)}};
    yoke_error *e = stranger_start(c, uid, "1", "self", "register_actor", &yoke_record_registration, &args);
    buffer_free(&pair);
    if (e)
        return e;
    YOKE_TRY(stranger_expect(c, MSG_START_ACK, &m));
    return stranger_expect(c, MSG_RETURN, &m);
}

static size_t peers_here(void)
{
    size_t count = 0;
    list_for_each(node, &actor_here()->peers)
        count++;
    return count;
}

static yoke_error *register_stranger(const yoke_uid *uid, const char *address)
{
    char *root;
    struct channel *c;
    YOKE_TRY(stranger_door(&root));
    yoke_error *e = stranger_connect(&c, root);
    free(root);
    if (!e)
        e = stranger_close(c, register_there(c, uid, address));
    while (!e && peers_here()) /* as long as it is connected, that connection leads to it */
        e = yoke_sleep(YOKE_MS(1));
    return e;
}

static const yoke_uid foreign = {"foreign", "11111111-1111-4111-8111-111111111111"},
                      newer = {"newer", "22222222-2222-4222-8222-222222222222"};

static yoke_error *stale_entries(struct scene *s)
{
    yoke_portal *portal;
    YOKE_TRY(register_stranger(&foreign, "unix:/tmp/yoke-no-such-directory/x.sock"));
    YOKE_TRY(register_stranger(&foreign, "unix:/tmp/yoke-no-such-directory/x.sock"));
    YOKE_TRY(wait_registered(2)); /* twice is once */
    YOKE_TRY(yoke_find("foreign", &portal));
    CHECK(!portal);
    YOKE_TRY(wait_registered(1)); /* nobody answers: it was deleted */
    YOKE_TRY(register_stranger(&foreign, "unix:/tmp/yoke-no-such-directory/x.sock"));
    YOKE_TRY(register_stranger(&newer, "unix:/tmp/yoke-no-such-directory/x.sock"));
    YOKE_TRY(wait_registered(2)); /* whoever claims an address has it */
    struct buffer known = BUFFER_EMPTY;
    YOKE_TRY(registrar_names(actor_here(), &known));
    bool evicted = buffer_size(&known) == 11 && memcmp(buffer_begin(&known), "root, newer", 11) == 0;
    buffer_free(&known);
    CHECK(evicted);
    return NULL;
}

/* A stopped actor does not answer: it is not given, and its parent can end it all the same. */
static yoke_error *stopped_actor(struct scene *s)
{
    yoke_portal *child, *asker;
    pid found;
    YOKE_TRY(start(s, "child", &child));
    YOKE_TRY(start_below(s, "asker", &asker));
    kill(yoke_portal_pid(child), SIGSTOP);
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_call(asker, "below:pid_of", &(who){"child"}, &found));
    CHECK(found.pid == 0 && tree_ms_since(begin) < 4000 * TREE_SLOW);
    return NULL;
}

/* REG-09 */
static void test_reg_09_stale_entries(void **state)
{
    assert_success(tree_with_actors(stale_entries, NULL));
    assert_success(tree_with_actors(stopped_actor, NULL));
}

/* ---- one that is registered and dead before it can be connected to ---- */

static yoke_error *wait_for_foreign(void *arg)
{
    yoke_portal **portal = arg;
    return yoke_wait_for("foreign", portal);
}

static yoke_error *comes_and_goes(struct scene *s)
{
    yoke_portal *found = NULL, *started;
    yoke_nursery n;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, wait_for_foreign, &found);
    if (!e)
        e = register_stranger(&foreign, "unix:/tmp/yoke-no-such-directory/x.sock");
    if (!e)
        e = yoke_sleep(YOKE_MS(50));
    bool early = found != NULL;
    if (!e)
        e = start(s, "foreign", &started);
    YOKE_TRY(yoke_nursery_close(&n, e));
    CHECK(!early && found && yoke_portal_pid(found) == yoke_portal_pid(started));
    return yoke_portal_close(found, yoke_call(found, "tree:ping", NULL, NULL));
}

static yoke_error *comes_and_goes_app(struct scene *s)
{
    yoke_error *e = comes_and_goes(s);
    /* `foreign` serves no `tree`: that it says so is an answer. */
    EXPECT_REMOTE(e, &YOKE_MODULE_NOT_EXPOSED, NULL);
    return NULL;
}

/* REG-27 */
static void test_reg_27_comes_and_goes(void **state)
{
    assert_success(tree_with_actors(comes_and_goes_app, NULL));
}

/* ---- odd requests ---- */

YOKE_RECORD(unregistration, (list, str, uid));
YOKE_RECORD(deletion, (any, addr));

/* Asks the registrar by a connection of its own, and expects an answer of this type. */
static yoke_error *ask_oddly(struct channel *c, const char *cid, const char *func, const yoke_record *record,
                             const void *args, enum msg_type answer, const char *kind)
{
    struct msg m;
    YOKE_TRY(stranger_start(c, &foreign, cid, "self", func, record, args));
    YOKE_TRY(channel_receive(c, &m));
    if (m.type == MSG_START_ACK)
        YOKE_TRY(channel_receive(c, &m));
    if (m.type != answer || (kind && !text_view_is(m.error.src_type, kind)))
        return yoke_raise(&CHECK_FAILED, "`%s` was answered with a %s (%.*s)", func, msg_type_name(m.type),
                          m.type == MSG_ERROR ? (int)m.error.src_type.size : 0,
                          m.type == MSG_ERROR ? m.error.src_type.data : "");
    return NULL;
}

static yoke_error *ask_all_oddly(struct channel *c)
{
    yoke_uid root;
    enum msg_flag registrar;
    static char much[1 << 20];
    uint8_t nil[] = {0xc0}, pair[] = "\x92\xa4/tmp\xa6x.sock", wrong[] = {0x01};
    const char *unknown[] = {foreign.name, foreign.uuid}, *other[] = {newer.name, newer.uuid},
               *huge[] = {much, "u"};
    memset(much, 'n', sizeof much - 1);
    YOKE_TRY(stranger_say_aid(c, &foreign, 0, false));
    YOKE_TRY(stranger_hear_aid(c, &root, &registrar));
    unregistration nobody = {{unknown, 2}}, others = {{other, 2}}, one = {{unknown, 1}};
    deletion unknown_address = {{pair, sizeof pair - 1}}, no_address = {{nil, 1}};
    registration own = {{unknown, 2}, {pair, sizeof pair - 1}}, no_pair = {{unknown, 2}, {wrong, 1}},
                 of_other = {{other, 2}, {pair, sizeof pair - 1}},
                 name = {{huge, 2}, {pair, sizeof pair - 1}};
    YOKE_TRY(ask_oddly(c, "1", "unregister_actor", &yoke_record_unregistration, &nobody, MSG_RETURN, NULL));
    YOKE_TRY(ask_oddly(c, "2", "delete_addr", &yoke_record_deletion, &unknown_address, MSG_RETURN, NULL));
    YOKE_TRY(ask_oddly(c, "3", "delete_addr", &yoke_record_deletion, &no_address, MSG_ERROR, "MsgTypeError"));
    YOKE_TRY(ask_oddly(c, "4", "register_actor", &yoke_record_registration, &own, MSG_RETURN, NULL));
    YOKE_TRY(ask_oddly(c, "5", "register_actor", &yoke_record_registration, &own, MSG_RETURN, NULL));
    CHECK(actor_here()->registry.by_uuid.count == 1);
    YOKE_TRY(
        ask_oddly(c, "6", "register_actor", &yoke_record_registration, &no_pair, MSG_ERROR, "MsgTypeError"));
    YOKE_TRY(ask_oddly(c, "7", "register_actor", &yoke_record_registration, &name, MSG_ERROR, NULL));
    YOKE_TRY(
        ask_oddly(c, "8", "unregister_actor", &yoke_record_unregistration, &one, MSG_ERROR, "MsgTypeError"));
    /* Another than itself. */
    YOKE_TRY(ask_oddly(c, "9", "register_actor", &yoke_record_registration, &of_other, MSG_ERROR, NULL));
    YOKE_TRY(ask_oddly(c, "10", "unregister_actor", &yoke_record_unregistration, &others, MSG_ERROR, NULL));
    CHECK(actor_here()->registry.by_uuid.count == 1);
    YOKE_TRY(ask_oddly(c, "11", "no_such_call", &yoke_record_unregistration, &nobody, MSG_ERROR,
                       "AttributeError"));
    YOKE_TRY(ask_oddly(c, "12", "unregister_actor", &yoke_record_unregistration, &nobody, MSG_RETURN, NULL));
    CHECK(actor_here()->registry.by_uuid.count == 0);
    return NULL;
}

static yoke_error *odd_requests(void *arg)
{
    char *root;
    struct channel *c;
    YOKE_TRY(stranger_door(&root));
    yoke_error *e = stranger_connect(&c, root);
    free(root);
    return e ? e : stranger_close(c, ask_all_oddly(c));
}

/* REG-23, REG-24: the registrar lives on, and says what was odd. */
static void test_reg_23_odd_requests(void **state)
{
    static char text[1 << 16];
    assert_int_equal(tree_status(odd_requests, NULL, text, sizeof text), 0);
    assert_non_null(strstr(text, "unregisters actor `foreign`, which is not known"));
    assert_non_null(strstr(text, "an address that is to be deleted is nobody's"));
    assert_non_null(strstr(text, "an odd request of actor `foreign`: an address: expected a pair"));
    assert_non_null(strstr(text, "an odd request of actor `foreign`: an actor's name: 1048575 bytes"));
    assert_non_null(
        strstr(text, "an odd request of actor `foreign`: actor `newer` is no part of actor `foreign`"));
}

/* What an actor has said last is served when it is gone already, and what it had entered is taken out: by its
 * loss, or, of a child, by the supervisor before that. */
struct last_words {
    bool of_a_child;
    struct raw_peer raw;
};
static yoke_error *speak_last(struct last_words *w)
{
    uint8_t pair[] = "\x92\xa4/run\xa6y.sock";
    struct peer *peer = w->raw.peer;
    const char *parts[] = {peer->channel->peer.name, peer->channel->peer.uuid};
    registration own = {{parts, 2}, {pair, sizeof pair - 1}};
    unregistration none = {{parts, 2}};
    struct msg m;
    peer->channel->peer_is_yoke = true;
    YOKE_TRY(raw_start(&w->raw, "1", "self", "register_actor", &yoke_record_registration, &own));
    HEAR(&w->raw, MSG_START_ACK, "1", &m);
    HEAR(&w->raw, MSG_RETURN, "1", &m);
    CHECK(actor_here()->registry.by_uuid.count == 1);
    if (w->of_a_child) {
        yoke_event_set(&peer->drained);
        registrar_peer_lost(peer);
    }
    YOKE_TRY(raw_start(&w->raw, "2", "self", "unregister_actor", &yoke_record_unregistration, &none));
    YOKE_TRY(raw_start(&w->raw, "3", "self", "register_actor", &yoke_record_registration, &own));
    if (w->of_a_child) {
        HEAR(&w->raw, MSG_START_ACK, "2", &m);
        HEAR(&w->raw, MSG_START_ACK, "3", &m);
        HEAR(&w->raw, MSG_RETURN, "2", &m);
        HEAR(&w->raw, MSG_RETURN, "3", &m);
        CHECK(actor_here()->registry.by_uuid.count == 0);
    }
    raw_hang_up(&w->raw);
    return NULL;
}

static yoke_error *with_last_words(void *arg)
{
    struct last_words w = {.of_a_child = *(bool *)arg};
    YOKE_TRY(raw_open(&w.raw, NULL));
    YOKE_TRY(raw_close(&w.raw, speak_last(&w)));
    CHECK(actor_here()->registry.by_uuid.count == 0);
    return NULL;
}

static void test_reg_23_last_words_are_not_odd(void **state)
{
    for (int of_a_child = 0; of_a_child < 2; of_a_child++) {
        char text[4096];
        assert_int_equal(tree_status(with_last_words, &(bool){of_a_child}, text, sizeof text), 0);
        assert_string_equal(text, "");
    }
}

/* ---- names ---- */

static yoke_error *names_with_dots(struct scene *s)
{
    yoke_portal *portal, *found;
    YOKE_TRY(start(s, "a.b", &portal));
    YOKE_TRY(yoke_find("a", &found));
    CHECK(!found);
    EXPECT(yoke_find_existing("a", &found), &YOKE_ACTOR_NOT_FOUND, "there are: root, a.b");
    YOKE_TRY(yoke_find("a.b", &found));
    CHECK(found && yoke_portal_pid(found) == yoke_portal_pid(portal));
    return yoke_portal_close(found, NULL);
}

static void test_reg_26_names_with_dots(void **state)
{
    assert_success(tree_with_actors(names_with_dots, NULL));
}

/* `count` actors of one name: all are there, find gives the first, and they end together. */
static yoke_error *twins(struct scene *s)
{
    const int count = *(int *)s->arg;
    yoke_portal *started[8], **found, *first, *sibling;
    size_t found_count;
    pid seen;
    YOKE_TRY(start_below(s, "sibling", &sibling));
    for (int i = 0; i < count; i++)
        YOKE_TRY(start(s, "twin", &started[i]));
    YOKE_TRY(yoke_find_all("twin", &found, &found_count));
    bool all = found_count == (size_t)count;
    for (int i = 0; i < count && all; i++)
        all = yoke_portal_pid(found[i]) == yoke_portal_pid(started[i]);
    YOKE_TRY(yoke_portals_close(found, found_count, NULL));
    CHECK(all);
    YOKE_TRY(yoke_find("twin", &first));
    CHECK(yoke_portal_pid(first) == yoke_portal_pid(started[0]));
    YOKE_TRY(yoke_portal_close(first, NULL));
    YOKE_TRY(yoke_call(sibling, "below:pid_of", &(who){"twin"}, &seen));
    CHECK(seen.pid == yoke_portal_pid(started[0]));
    int64_t begin = yoke_now();
    YOKE_TRY(yoke_actors_cancel(s->actors));
    CHECK(tree_ms_since(begin) < (15000 + count * 5000) * TREE_SLOW);
    return wait_registered(1);
}

static void test_reg_10_the_same_name_twice(void **state)
{
    for (int count = 2; count <= 8; count *= 2)
        assert_success(tree_with_actors(twins, &count));
}

/* ---- a live channel comes first ---- */

static yoke_error *live_channel(struct scene *s)
{
    yoke_portal *child, *found, *again;
    YOKE_TRY(start(s, "child", &child));
    YOKE_TRY(yoke_find("child", &found));
    YOKE_TRY(yoke_wait_for("child", &again));
    CHECK(peers_here() == 1 && yoke_portal_pid(found) == yoke_portal_pid(child));
    line l;
    YOKE_TRY(yoke_call(found, "dialogue:hi", &(who){"root"}, &l));
    YOKE_TRY(expect_line(&l, "hi root, i am child"));
    YOKE_TRY(yoke_portal_close(found, NULL));
    YOKE_TRY(yoke_portal_close(again, NULL));
    YOKE_TRY(yoke_portal_close(child, NULL)); /* a nursery's: nothing happens */
    YOKE_TRY(yoke_call(child, "dialogue:hi", &(who){"root"}, &l));
    return expect_line(&l, "hi root, i am child");
}

/* REG-20: no question to the registrar and no second connection; the channel survives the portals. */
static void test_reg_20_a_live_channel_comes_first(void **state)
{
    assert_success(tree_with_actors(live_channel, NULL));
}

/* ---- a subtree that goes ---- */

static int32_t holding;

static yoke_error *hold_on(const yoke_type_none *args, yoke_type_none *result)
{
    yoke_scope shield;
    holding++;
    yoke_error *e = yoke_sleep_forever();
    /* It takes its time to end, in which others go on to call. */
    yoke_error *late = yoke_scope_open_with(&shield, &(yoke_scope_options){.shield = true});
    if (!late)
        late = yoke_scope_close(&shield, yoke_sleep(YOKE_MS(100)));
    return yoke_error_join(e, late);
}
static yoke_error *count_holding(const yoke_type_none *args, yoke_type_i32 *result)
{
    *result = holding;
    return NULL;
}
static yoke_error *count_me(const yoke_type_none *args, yoke_type_none *result)
{
    holding++;
    return NULL;
}
/* Calls an actor that is neither its parent nor its child. */
static yoke_error *hold_other(const who *args, yoke_type_none *result)
{
    yoke_portal *other;
    YOKE_TRY(yoke_wait_for(args->name, &other));
    return yoke_portal_close(other, yoke_call(other, "subtree:hold_on", NULL, NULL));
}
static yoke_error *call_again(yoke_portal *p)
{
    int32_t count;
    YOKE_TRY(yoke_call(p, "subtree:count_me", NULL, NULL));
    for (;;) {
        YOKE_TRY(yoke_call(p, "subtree:count_holding", NULL, &count));
        YOKE_TRY(yoke_sleep(YOKE_MS(1)));
    }
}
/* The same in many calls, one after the other. */
static yoke_error *ask_other(const who *args, yoke_type_none *result)
{
    yoke_portal *other;
    YOKE_TRY(yoke_wait_for(args->name, &other));
    return yoke_portal_close(other, call_again(other));
}
static yoke_error *have_leaf(yoke_context *ctx, const yoke_type_none *args, yoke_type_i32 *result);

YOKE_MODULE(subtree, YOKE_CALL(hold_on, none, none), YOKE_CALL(count_holding, none, i32),
            YOKE_CALL(count_me, none, none), YOKE_CALL(hold_other, who, none),
            YOKE_CALL(ask_other, who, none), YOKE_CONTEXT(have_leaf, none, i32, i32));

static yoke_error *start_in_subtree(yoke_actors *actors, const char *name, yoke_portal **portal)
{
    return yoke_actors_start(actors, name, &(yoke_actor_options){.modules = "subtree"}, portal);
}

static yoke_error *with_leaf(struct scene *s)
{
    YOKE_TRY(start_in_subtree(s->actors, "leaf", &s->portal));
    YOKE_TRY(yoke_context_started(s->ctx, &(int32_t){yoke_portal_pid(s->portal)}));
    return yoke_sleep_forever();
}
static yoke_error *have_leaf(yoke_context *ctx, const yoke_type_none *args, yoke_type_i32 *result)
{
    struct scene s = {.ctx = ctx};
    return with_actors(&s, NULL, with_leaf);
}

/* Who calls the leaf from elsewhere: siblings of its parent's, and the root; and what they are told. */
struct caller {
    yoke_portal *portal;  /* NULL: the root itself */
    const char *endpoint; /* of it */
    yoke_error *told;
};
static yoke_error *call_leaf(void *arg)
{
    struct caller *c = arg;
    who leaf = {"leaf"};
    c->told = c->portal ? yoke_call(c->portal, c->endpoint, &leaf, NULL) : hold_other(&leaf, NULL);
    return NULL;
}

static yoke_error *kill_when_called(struct scene *s, int32_t *leaf_pid)
{
    yoke_portal *leaf;
    int32_t calls = 0;
    YOKE_TRY(start_in_subtree(s->actors, "middle", &s->portal));
    YOKE_TRY(yoke_context_open(s->portal, &s->ctx, "subtree:have_leaf", NULL, leaf_pid));
    yoke_error *e = yoke_wait_for("leaf", &leaf);
    while (!e && calls < 3) {
        e = yoke_call(leaf, "subtree:count_holding", NULL, &calls);
        if (!e)
            e = yoke_sleep(YOKE_MS(2));
    }
    if (!e)
        e = yoke_portal_close(leaf, NULL);
    if (!e)
        kill(yoke_portal_pid(s->portal), SIGKILL);
    return yoke_context_close(s->ctx, e ? e : yoke_sleep_forever());
}

static yoke_error *middle_is_killed(int32_t *leaf_pid)
{
    struct scene s = {.actors = NULL};
    YOKE_TRY(yoke_actors_open(&s.actors, NULL));
    return yoke_actors_close(s.actors, kill_when_called(&s, leaf_pid));
}

static yoke_error *lose_subtree(struct scene *s)
{
    struct caller elsewhere = {.endpoint = "subtree:hold_other"}, root = {.portal = NULL},
                  again = {.endpoint = "subtree:ask_other"};
    int32_t leaf_pid = 0;
    yoke_nursery n;
    YOKE_TRY(start_in_subtree(s->actors, "elsewhere", &elsewhere.portal));
    again.portal = elsewhere.portal;
    YOKE_TRY(yoke_nursery_open(&n));
    yoke_error *e = yoke_spawn(&n, call_leaf, &elsewhere);
    if (!e)
        e = yoke_spawn(&n, call_leaf, &root);
    if (!e)
        e = yoke_spawn(&n, call_leaf, &again);
    yoke_error *reported = e ? e : middle_is_killed(&leaf_pid);
    YOKE_TRY(yoke_nursery_close(&n, NULL));
    EXPECT(reported, &YOKE_ACTOR_DIED, "actor `middle`");
    EXPECT(root.told, &YOKE_TRANSPORT_CLOSED, "the channel to actor `leaf`");
    EXPECT_REMOTE(elsewhere.told, &YOKE_TRANSPORT_CLOSED, "the channel to actor `leaf`");
    EXPECT_REMOTE(again.told, &YOKE_TRANSPORT_CLOSED, "the channel to actor `leaf`");
    CHECK(leaf_pid > 0 && kill(leaf_pid, 0) < 0); /* nor is it a zombie of somebody else's */
    return yoke_call(elsewhere.portal, "subtree:count_holding", NULL, &leaf_pid); /* who lives on */
}

/* REAP-06; that nothing at all is left, and so nothing was adopted, is looked at after each test */
static void test_reap_06_kill_9_of_a_middle_actor(void **state)
{
    assert_success(tree_with_actors(lose_subtree, NULL));
}

TREE_MAIN(TEST(test_reap_06_kill_9_of_a_middle_actor), TEST(test_spawn_09_two_actors_talk),
          TEST(test_cancelled_by_a_sibling), TEST(test_reg_03_find), TEST(test_reg_04_wait),
          TEST(test_reg_05_query), TEST(test_present_while_alive), TEST(test_reg_25_killed_actors),
          TEST(test_reg_09_stale_entries), TEST(test_reg_27_comes_and_goes), TEST(test_reg_23_odd_requests),
          TEST(test_reg_23_last_words_are_not_odd), TEST(test_reg_26_names_with_dots),
          TEST(test_reg_10_the_same_name_twice), TEST(test_reg_20_a_live_channel_comes_first))
