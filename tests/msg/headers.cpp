// The public headers and YOKE_RECORD as C++ sees them: that this compiles and links is the test.
#include <yoke.h>

YOKE_RECORD(word_count, (str, word), (u64, count))
YOKE_RECORD(tally, (str, path), (list, word_count, words), (any, more), (none, gap))

YOKE_ENUM(color, red, green)
YOKE_RECORD(circle, (f64, radius), (optional, color, fill), (default, u32, width, 1))
YOKE_UNION(figure, circle, word_count, none)
YOKE_STRICT_RECORD(page, (map, figure, figures), (limit, str, title, 10), (list, u8, few, 2))

static yoke_error *put_id(const int *item, yoke_sink *sink)
{
    yoke_sink_put(sink, item, sizeof *item);
    return nullptr;
}
static yoke_error *take_id(const void *bytes, size_t size, int *item)
{
    *item = size ? *static_cast<const unsigned char *>(bytes) : 0;
    return nullptr;
}
YOKE_EXTENSION(id, int, 9, put_id, take_id, nullptr)
YOKE_RECORD(user, (id, number))

static yoke_error *total(const tally *args, yoke_type_u64 *result)
{
    *result = args->words.count;
    return nullptr;
}

static bool page_comes_back()
{
    yoke_pair_figure pair = {};
    pair.key = "one";
    pair.value.is = figure_circle;
    pair.value.circle.radius = 2;
    page item = {}, back;
    item.figures.items = &pair;
    item.figures.count = 1;
    user person = {3}, same = {};
    yoke_value value, number;
    yoke_error *e = yoke_value_from(&value, &yoke_record_page, &item);
    if (!e)
        e = yoke_value_to(&value, &yoke_record_page, &back);
    if (!e)
        e = yoke_value_from(&number, &yoke_record_user, &person);
    if (!e)
        e = yoke_value_to(&number, &yoke_record_user, &same);
    if (e)
        return false;
    bool fine = back.figures.items[0].value.circle.radius == 2 && same.number == 3;
    page_free(&back);
    yoke_value_free(&value);
    yoke_value_free(&number);
    return fine;
}

static yoke_error *linked(yoke_context *ctx, const tally *args, word_count *result)
{
    result->count = args->words.count;
    return yoke_context_started(ctx, nullptr);
}

static yoke_error *each(yoke_stream *stream, const tally *args)
{
    return yoke_send(stream, &args->words.items[0]);
}

YOKE_MODULE(ends, YOKE_CALL(total, tally, u64), YOKE_CONTEXT(linked, tally, none, word_count),
            YOKE_STREAM(each, tally, word_count))

int main()
{
    if (!page_comes_back())
        return 1;
    word_count one = {"a", 1};
    tally item = {"p", {&one, 1}, {nullptr, 0}, {0}};
    yoke_value value;
    yoke_type_u64 count = 0;
    yoke_error *e = yoke_value_from(&value, &yoke_record_tally, &item);
    if (!e)
        e = total(&item, &count);
    tally back;
    if (!e)
        e = yoke_value_to(&value, &yoke_record_tally, &back);
    if (e)
        return 1;
    bool same = back.words.count == count && back.words.items[0].count == 1;
    tally_free(&back);
    yoke_value_free(&value);
    return same ? 0 : 1;
}
