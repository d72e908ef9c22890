#include "actor/registry.h"

#include "actor/peer.h"
#include "base/memory.h"
#include "task/task.h"

#include <string.h>

void registry_init(struct registry *r)
{
    *r = (struct registry){.changes = 0};
    list_init(&r->entries);
    list_init(&r->waiters);
    table_init(&r->by_uuid);
}

void registry_take_out(struct registry *r, struct registry_entry *x)
{
    list_remove(&x->in_order);
    table_remove(&r->by_uuid, &x->by_uuid);
    memory_free(x);
}

void registry_free(struct registry *r)
{
    while (!list_empty(&r->entries))
        registry_take_out(r, container_of(r->entries.next, struct registry_entry, in_order));
    table_free(&r->by_uuid);
}

struct registry_entry *registry_entry_of(const struct registry *r, const char *uuid)
{
    struct table_node *node = table_find(&r->by_uuid, uuid, strlen(uuid));
    return node ? container_of(node, struct registry_entry, by_uuid) : NULL;
}

/* Another's entry with this address: that actor can't be there any more. */
static void evict(struct registry *r, const yoke_uid *uid, const struct address *address)
{
    if (address->kind == ADDRESS_NONE)
        return;
    list_for_each_safe(node, &r->entries) {
        struct registry_entry *x = container_of(node, struct registry_entry, in_order);
        if (address_equal(&x->address, address) && !yoke_uid_equal(&x->uid, uid)) {
            yoke_log(YOKE_RUNTIME, "actor `%s` has the address of actor `%s`, which is forgotten", uid->name,
                     x->uid.name);
            registry_take_out(r, x);
        }
    }
}

yoke_error *registry_enter(struct registry *r, const yoke_uid *uid, const struct address *address,
                           struct peer *via)
{
    evict(r, uid, address);
    struct registry_entry *x = registry_entry_of(r, uid->uuid);
    if (!x) {
        x = memory_calloc(1, sizeof *x);
        if (!x)
            return yoke_raise(&YOKE_NO_MEMORY, "an entry of the registry");
        x->uid = *uid;
        if (!table_insert(&r->by_uuid, &x->by_uuid, x->uid.uuid, strlen(x->uid.uuid))) {
            memory_free(x);
            return yoke_raise(&YOKE_NO_MEMORY, "an entry of the registry");
        }
        list_append(&r->entries, &x->in_order);
    }
    x->address = *address;
    x->via = via;
    x->since = yoke_now();
    r->changes++;
    yoke_log(YOKE_RUNTIME, "actor `%s` is registered", uid->name);
    while (wake_first(&r->waiters, NULL))
        ;
    return NULL;
}

struct registry_entry *registry_stale_at(const struct registry *r, const struct address *address)
{
    list_for_each(node, &r->entries) {
        struct registry_entry *x = container_of(node, struct registry_entry, in_order);
        if (address_equal(&x->address, address))
            return x->via ? NULL : x;
    }
    return NULL;
}

/* ---- what is known of a name ---- */

static bool fits(const yoke_uid *uid, const char *name, bool all)
{
    return strcmp(uid->name, name) == 0 || (!all && strcmp(uid->uuid, name) == 0);
}

static bool add_match(struct registry_matches *m, const struct registry_match *one)
{
    struct registry_match *grown = memory_realloc(m->items, (m->count + 1) * sizeof *grown);
    if (!grown)
        return false;
    m->items = grown;
    m->items[m->count++] = *one;
    if (one->via)
        peer_keep(one->via);
    return true;
}

void registry_matches_free(struct registry_matches *m)
{
    for (size_t i = 0; i < m->count; i++)
        peer_release(m->items[i].via);
    memory_free(m->items);
}

yoke_error *registry_look_up(const struct registry *r, const yoke_uid *self, const char *name, bool all,
                             struct registry_matches *m)
{
    bool fine = true;
    *m = (struct registry_matches){NULL, 0};
    if (fits(self, name, all))
        fine = add_match(m, &(struct registry_match){.uid = *self, .is_self = true});
    list_for_each(node, &r->entries) {
        const struct registry_entry *x = container_of(node, struct registry_entry, in_order);
        if (fine && fits(&x->uid, name, all))
            fine = add_match(m, &(struct registry_match){x->uid, x->address, x->via, x->since, false});
    }
    if (fine)
        return NULL;
    registry_matches_free(m);
    return yoke_raise(&YOKE_NO_MEMORY, "what was found in the registry");
}
