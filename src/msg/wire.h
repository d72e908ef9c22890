/*
 * The messages of the wire protocol as C structs, and the two ways between them and frames.
 *
 * A frame is a length (4 bytes, little-endian) and one msgpack map tagged by `msg_type`. Decoding is done in
 * place: every text and payload of a decoded message is a view into the frame's bytes. Payloads are not
 * looked into beyond being well-formed.
 */
#ifndef MSG_WIRE_H
#define MSG_WIRE_H

#include "base/loan.h"

#include <yoke/msg.h>

struct text_view {
    const char *data; /* NULL: not there or nil */
    size_t size;
};

/* One whole msgpack value, as it stands on the wire. */
struct raw_view {
    const uint8_t *data; /* NULL: not there, or nil where nil is allowed */
    size_t size;
};

struct uid_view {
    struct text_view name, uuid; /* name.data NULL: nil */
};

enum msg_type {
    MSG_AID,
    MSG_SPAWN_SPEC,
    MSG_START,
    MSG_START_ACK,
    MSG_STARTED,
    MSG_YIELD,
    MSG_STOP,
    MSG_RETURN,
    MSG_CANCEL_ACK,
    MSG_ERROR,
    MSG_CREDIT, /* ours: to peers alone that have said that they know it */
    MSG_TYPE_COUNT
};

enum msg_flag {
    MSG_FLAG_ABSENT,
    MSG_FLAG_NIL,
    MSG_FLAG_FALSE,
    MSG_FLAG_TRUE
}; /* a bool that may be missing or nil */

/* An item for the payload of a message that is sent: its frame is where it is encoded, as by record_encode.
 */
struct msg_item {
    const yoke_record *record; /* NULL: there is none, and the payload is the view */
    const void *item;
    const char *path; /* begins the path in an error's text */
    bool unchecked;   /* as record_encode_with */
};

enum msg_functype { MSG_FUNC_ASYNCFUNC, MSG_FUNC_ASYNCGEN, MSG_FUNC_CONTEXT };

struct aside;

struct msg {
    enum msg_type type;
    struct text_view cid;     /* of all but Aid and SpawnSpec; data NULL: nil (Error alone) */
    struct msg_item pld_item; /* to encode, instead of `pld`; never set by msg_decode */
    struct aside *aside;      /* of what was decoded: bytes that are not in the views; or NULL */
    union {
        struct {
            struct uid_view uid;
            bool has_pid;
            int64_t pid;
            enum msg_flag is_registrar, is_probe; /* absent: a peer of 2025 */
            struct raw_view yoke;                 /* our own extra key, a map; NULL from other peers */
        } aid;
        struct {
            struct raw_view parent_main_data, runtime_vars, enable_modules, reg_addrs, bind_addrs;
            struct raw_view yoke;
        } spawn_spec;
        struct {
            struct text_view ns, func;
            struct raw_view kwargs; /* a map with str keys */
            struct uid_view uid;
            struct text_view pld_spec; /* data NULL: absent */
            struct raw_view yoke;
        } start;
        struct {
            enum msg_functype functype;
        } start_ack;
        struct {
            uint64_t count; /* of messages; 0: its sender waits for credits from here on */
        } credit;
        struct raw_view pld; /* Started, Yield, Return, CancelAck (a bool) */
        struct {
            struct uid_view src_uid;
            struct text_view src_type, boxed_type;
            struct raw_view relay_path; /* array of uids, never empty */
            struct text_view message, tb;
            struct uid_view canceller, sender;
            struct raw_view bad_msg, bad_msg_as_dict;
            struct raw_view yoke; /* between yoke peers: place, notes, members */
        } error;
    };
};

struct msg_limits {
    size_t frame_bytes; /* 64 MiB; without the length */
    unsigned nesting;   /* 64: containers in each other in one field's value; more is taken as 64 */
    size_t elements;    /* 1,048,576 in one frame, containers, keys and what the payload holds counted */
};
extern const struct msg_limits msg_limits_default;

const char *msg_type_name(enum msg_type type);

/*
 * Decodes the body of a frame (without its length). Any break of the protocol gives an error of kind
 * YOKE_PROTOCOL whose text says what and at which byte of the body; `out` is then not to be used. Unknown
 * keys are skipped, keys may come in any order, a known key that comes twice is refused. Texts in a payload
 * are not checked. Nothing is allocated but the error.
 */
YOKE_MUST_USE yoke_error *msg_decode(const uint8_t *body, size_t size, const struct msg_limits *limits,
                                     struct msg *out);
/* The same for a body that has an aside (NULL: none): `size` is without it. */
YOKE_MUST_USE yoke_error *msg_decode_aside(const uint8_t *body, size_t size, struct aside *aside,
                                           const struct msg_limits *limits, struct msg *out);
/*
 * Of a Yield whose first `have` bytes have come: where its first large `bytes` begins, of which only a part
 * is there, and its size as announced. False: nothing of that kind is in sight, at MSG_ASIDE_LOOK bytes it
 * never will.
 */
enum { MSG_ASIDE_LOOK = 1024 };
bool msg_find_aside(const uint8_t *body, size_t have, size_t *at, size_t *size);
/*
 * Appends the whole frame (length and body) in the shortest form and the fields' own order, as the recorded
 * peers do. What would kill or confuse a peer is refused with YOKE_USAGE before anything is appended: a text
 * that is not UTF-8, an empty relay path, ContextCancelled without canceller, StreamOverrun without sender, a
 * missing field, a view that is not one well-formed value of its field's type. A frame over
 * limits->frame_bytes or limits->elements: YOKE_TOO_LARGE. An item as record_encode. Without memory:
 * YOKE_NO_MEMORY. On an error nothing is appended. What is not set and has a default is written with it
 * (pld_spec, tb; nil else); an is_registrar or is_probe that is absent and a `yoke` that is NULL are left
 * out.
 */
YOKE_MUST_USE yoke_error *msg_encode(struct buffer *out, const struct msg *m,
                                     const struct msg_limits *limits);

/* The same; what is large of an item may become `loan` (of size 0 before; NULL: it is copied as well). */
YOKE_MUST_USE yoke_error *msg_encode_lending(struct buffer *out, const struct msg *m,
                                             const struct msg_limits *limits, struct loan *loan);

/* Text from a C string (NULL gives the nil view); uid likewise. */
struct text_view text_view(const char *s);
bool text_view_is(struct text_view t, const char *s);
bool uid_view_equal(struct uid_view a, struct uid_view b);

#endif
