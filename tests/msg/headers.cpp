// The public headers and YOKE_RECORD as C++ sees them: that this compiles and links is the test.
#include <yoke.h>

YOKE_RECORD(word_count, (str, word), (u64, count))
YOKE_RECORD(tally, (str, path), (list, word_count, words), (any, more), (none, gap))

static yoke_error *total(const tally *args, yoke_type_u64 *result)
{
    *result = args->words.count;
    return nullptr;
}

int main()
{
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
