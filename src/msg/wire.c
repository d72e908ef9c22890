/* The messages' layouts, as sections 2 of the protocol's description lists them, and what all the wire's
 * files share. */
#include "msg/wire_form.h"

#include <string.h>

YOKE_ERROR_KIND(YOKE_PROTOCOL, "yoke.Protocol", NULL);
YOKE_ERROR_KIND(YOKE_TOO_LARGE, "yoke.TooLarge", NULL);
YOKE_ERROR_KIND(YOKE_MSG_TYPE, "yoke.MsgType", NULL);

const struct msg_limits msg_limits_default = {64u << 20, CURSOR_NESTING, 1u << 20};

#define AT(member) offsetof(struct msg, member)
#define CID                                                                                                  \
    {                                                                                                        \
        "cid", FORM_TEXT, FIELD_REQUIRED, AT(cid), NULL                                                      \
    }
#define YOKE_KEY(message)                                                                                    \
    {                                                                                                        \
        "yoke", FORM_MAP, FIELD_EXTRA, AT(message.yoke), NULL                                                \
    }

static const struct field aid[] = {
    {"name", FORM_TEXT, FIELD_REQUIRED, AT(aid.uid.name), NULL},
    {"uuid", FORM_TEXT, FIELD_REQUIRED, AT(aid.uid.uuid), NULL},
    {"pid", FORM_PID, FIELD_DEFAULTED, 0, NULL},
    {"is_registrar", FORM_FLAG_OR_NIL, FIELD_EXTRA, AT(aid.is_registrar), NULL},
    {"is_probe", FORM_FLAG, FIELD_EXTRA, AT(aid.is_probe), NULL},
    YOKE_KEY(aid),
};

static const struct field spawn_spec[] = {
    {"_parent_main_data", FORM_MAP, FIELD_REQUIRED, AT(spawn_spec.parent_main_data), NULL},
    {"_runtime_vars", FORM_MAP, FIELD_REQUIRED, AT(spawn_spec.runtime_vars), NULL},
    {"enable_modules", FORM_TEXT_MAP, FIELD_REQUIRED, AT(spawn_spec.enable_modules), NULL},
    {"reg_addrs", FORM_ADDRS, FIELD_REQUIRED, AT(spawn_spec.reg_addrs), NULL},
    {"bind_addrs", FORM_ADDRS_OR_NIL, FIELD_REQUIRED, AT(spawn_spec.bind_addrs), NULL},
    YOKE_KEY(spawn_spec),
};

static const struct field start[] = {
    CID,
    {"ns", FORM_TEXT, FIELD_REQUIRED, AT(start.ns), NULL},
    {"func", FORM_TEXT, FIELD_REQUIRED, AT(start.func), NULL},
    {"kwargs", FORM_STR_MAP, FIELD_REQUIRED, AT(start.kwargs), NULL},
    {"uid", FORM_UID, FIELD_REQUIRED, AT(start.uid), NULL},
    {"pld_spec", FORM_TEXT, FIELD_DEFAULTED, AT(start.pld_spec), "typing.Any"},
    YOKE_KEY(start),
};

static const struct field start_ack[] = {
    CID, {"functype", FORM_FUNCTYPE, FIELD_REQUIRED, AT(start_ack.functype), NULL}};
static const struct field payload[] = {CID, {"pld", FORM_VALUE, FIELD_REQUIRED, AT(pld), NULL}};
static const struct field stop[] = {CID};
static const struct field credit[] = {CID, {"count", FORM_COUNT, FIELD_REQUIRED, AT(credit.count), NULL}};
static const struct field cancel_ack[] = {CID, {"pld", FORM_BOOL, FIELD_REQUIRED, AT(pld), NULL}};

static const struct field error[] = {
    {"src_uid", FORM_UID, FIELD_REQUIRED, AT(error.src_uid), NULL},
    {"src_type_str", FORM_TEXT, FIELD_REQUIRED, AT(error.src_type), NULL},
    {"boxed_type_str", FORM_TEXT, FIELD_REQUIRED, AT(error.boxed_type), NULL},
    {"relay_path", FORM_UIDS, FIELD_REQUIRED, AT(error.relay_path), NULL},
    {"message", FORM_TEXT_OR_NIL, FIELD_DEFAULTED, AT(error.message), NULL},
    {"tb_str", FORM_TEXT, FIELD_DEFAULTED, AT(error.tb), ""},
    {"canceller", FORM_UID_OR_NIL, FIELD_DEFAULTED, AT(error.canceller), NULL},
    {"sender", FORM_UID_OR_NIL, FIELD_DEFAULTED, AT(error.sender), NULL},
    {"cid", FORM_TEXT_OR_NIL, FIELD_DEFAULTED, AT(cid), NULL},
    {"_bad_msg", FORM_MAP_OR_NIL, FIELD_DEFAULTED, AT(error.bad_msg), NULL},
    {"_bad_msg_as_dict", FORM_MAP_OR_NIL, FIELD_DEFAULTED, AT(error.bad_msg_as_dict), NULL},
    YOKE_KEY(error),
};

#define LAYOUT(name, fields)                                                                                 \
    {                                                                                                        \
        name, fields, sizeof(fields) / sizeof(fields)[0]                                                     \
    }

const struct layout wire_layouts[MSG_TYPE_COUNT] = {
    [MSG_AID] = LAYOUT("Aid", aid),
    [MSG_SPAWN_SPEC] = LAYOUT("SpawnSpec", spawn_spec),
    [MSG_START] = LAYOUT("Start", start),
    [MSG_START_ACK] = LAYOUT("StartAck", start_ack),
    [MSG_STARTED] = LAYOUT("Started", payload),
    [MSG_YIELD] = LAYOUT("Yield", payload),
    [MSG_STOP] = LAYOUT("Stop", stop),
    [MSG_RETURN] = LAYOUT("Return", payload),
    [MSG_CANCEL_ACK] = LAYOUT("CancelAck", cancel_ack),
    [MSG_ERROR] = LAYOUT("Error", error),
    [MSG_CREDIT] = LAYOUT("Credit", credit),
};

const char *const wire_functypes[3] = {
    [MSG_FUNC_ASYNCFUNC] = "asyncfunc", [MSG_FUNC_ASYNCGEN] = "asyncgen", [MSG_FUNC_CONTEXT] = "context"};

const char *msg_type_name(enum msg_type type)
{
    return (unsigned)type < MSG_TYPE_COUNT ? wire_layouts[type].name : "?";
}

struct text_view text_view(const char *s)
{
    return (struct text_view){s, s ? strlen(s) : 0};
}

bool text_view_is(struct text_view t, const char *s)
{
    return t.data && s && strlen(s) == t.size && memcmp(t.data, s, t.size) == 0;
}

static bool text_equal(struct text_view a, struct text_view b)
{
    return a.data && b.data && a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

bool uid_view_equal(struct uid_view a, struct uid_view b)
{
    return text_equal(a.name, b.name) && text_equal(a.uuid, b.uuid);
}
