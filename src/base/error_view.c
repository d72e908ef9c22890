/* What an error says, for those who look at it. */
#include "base/error_body.h"

bool yoke_error_is(const yoke_error *e, const yoke_error_kind *kind)
{
    return e && error_kind_is_below(e->head->kind, kind);
}

bool yoke_error_is_cancelled(const yoke_error *e)
{
    return e && e->only_cancelled;
}

const yoke_error_kind *yoke_error_kind_of(const yoke_error *e)
{
    error_check(e, "yoke_error_kind_of");
    return e->head->kind;
}

const char *yoke_error_message(const yoke_error *e)
{
    error_check(e, "yoke_error_message");
    return e->head->message;
}

const char *yoke_error_file(const yoke_error *e)
{
    error_check(e, "yoke_error_file");
    return e->head->place.file;
}

int yoke_error_line(const yoke_error *e)
{
    error_check(e, "yoke_error_line");
    return e->head->place.line;
}

const char *yoke_error_function(const yoke_error *e)
{
    error_check(e, "yoke_error_function");
    return e->head->place.function;
}

const char *yoke_error_actor(const yoke_error *e)
{
    error_check(e, "yoke_error_actor");
    return e->head->place.actor;
}

const char *yoke_error_task(const yoke_error *e)
{
    error_check(e, "yoke_error_task");
    return e->head->place.task;
}

int yoke_error_errno(const yoke_error *e)
{
    error_check(e, "yoke_error_errno");
    return e->head->number;
}

const yoke_error *yoke_error_cause(const yoke_error *e)
{
    error_check(e, "yoke_error_cause");
    return e->head->cause;
}

size_t yoke_error_count(const yoke_error *e)
{
    error_check(e, "yoke_error_count");
    return e->member_count;
}

const yoke_error *yoke_error_member(const yoke_error *e, size_t i)
{
    return i < e->member_count ? e->members[i] : NULL;
}

const char *error_backtrace(const yoke_error *e)
{
    return e ? e->head->backtrace : NULL;
}
