/* The binary's modules by their names: lists of them, endpoints, what is exposed, and what errors say. */
#include "harness.h"

#include "actor/module.h"
#include "base/memory.h"

#include <string.h>

static yoke_error *add(const yoke_type_none *args, yoke_type_u64 *result)
{
    *result = 1;
    return NULL;
}

static yoke_error *talk(yoke_context *ctx, const yoke_type_none *args, yoke_type_u64 *result)
{
    return NULL;
}

static yoke_error *take(const yoke_type_none *args, yoke_type_u64 *result)
{
    return NULL;
}

YOKE_MODULE(test_math, YOKE_CALL(add, none, u64), YOKE_CALL(take, none, u64));
YOKE_MODULE(test_words, YOKE_CONTEXT(talk, none, none, u64));

static void names_free(const char **names)
{
    for (size_t i = 0; names && names[i]; i++)
        memory_free((char *)names[i]);
    memory_free(names);
}

static void expect_names(const char *text, size_t count, const char *const *expected)
{
    const char **names;
    assert_success(module_parse(text, &names));
    for (size_t i = 0; i < count; i++)
        assert_string_equal(names[i], expected[i]);
    assert_null(names[count]);
    names_free(names);
}

static void test_lists_of_names(void **state)
{
    static const char *const both[] = {"test_math", "test_words"}, *const twice[] = {"test_words",
                                                                                     "test_words"};
    expect_names(NULL, 0, NULL);
    expect_names("", 0, NULL);
    expect_names(" ,\t\n, ", 0, NULL);
    expect_names("test_math", 1, both);
    expect_names("test_math test_words", 2, both);
    expect_names("test_math,test_words", 2, both);
    expect_names("  test_math ,\n\ttest_words,", 2, both);
    expect_names("test_words,test_words", 2, twice);
}

static void test_an_unknown_name(void **state)
{
    const char **names;
    static const char *const bad[] = {"nope", "test_math nope", "test_math,nope,test_words", " nope"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        yoke_error *e = module_parse(bad[i], &names);
        assert_null(names);
        const yoke_error *cause = e ? yoke_error_cause(e) : NULL;
        assert_true(yoke_error_is(cause, &YOKE_MODULE_NOT_EXPOSED));
        assert_non_null(strstr(yoke_error_message(cause), "test_math"));
        assert_non_null(strstr(yoke_error_message(cause), "test_words"));
        assert_error_text(e, &YOKE_USAGE, "module `nope`");
    }
    assert_error(module_parse("test_mat", &names), &YOKE_USAGE);
    assert_error(module_parse("test_math2", &names), &YOKE_USAGE);
}

static void test_without_memory(void **state)
{
    for (size_t n = 0; n < 3; n++) {
        const char **names;
        memory_fail_after(n);
        yoke_error *e = module_parse("test_math test_words", &names);
        assert_true(memory_fail_after(SIZE_MAX));
        assert_error(e, &YOKE_NO_MEMORY);
        assert_null(names);
    }
}

static void test_endpoints(void **state)
{
    struct text_view module;
    const yoke_endpoint *endpoint;
    assert_success(module_resolve("test_math:add", &module, &endpoint));
    assert_string_equal(endpoint->name, "add");
    assert_int_equal(endpoint->type, YOKE_ENDPOINT_CALL);
    assert_true(text_view_is(module, "test_math"));
    uint64_t result = 0;
    assert_success(endpoint->call(NULL, &result));
    assert_int_equal(result, 1);
    assert_success(module_resolve("test_words:talk", &module, &endpoint));
    assert_int_equal(endpoint->type, YOKE_ENDPOINT_CONTEXT);
    assert_ptr_equal(endpoint, module_endpoint(module_find(text_view("test_words")), text_view("talk")));
    assert_null(module_find(text_view("test_word")));
    assert_null(module_endpoint(module_find(text_view("test_math")), text_view("ad")));
}

static void test_malformed_endpoints(void **state)
{
    char of_256[257], of_255[256];
    memset(of_256, 'a', 256);
    of_256[9] = ':';
    of_256[256] = 0;
    memcpy(of_255, of_256, 255);
    of_255[255] = 0;
    struct text_view module;
    const yoke_endpoint *endpoint;
    const char *bad[] = {NULL,
                         "",
                         ":",
                         "test_math",
                         "test_math:",
                         ":add",
                         "test_math :add",
                         "test_math:add ",
                         "test_math:\tadd",
                         "test_math\n:add",
                         "test_math:a\x01"
                         "dd",
                         of_256};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_error_text(module_resolve(bad[i], &module, &endpoint), &YOKE_USAGE, "module:function");
    assert_error(module_resolve(of_255, &module, &endpoint), &YOKE_MODULE_NOT_EXPOSED);
}

static void test_endpoints_that_are_not_there(void **state)
{
    struct text_view module;
    const yoke_endpoint *endpoint;
    assert_error_text(module_resolve("test_maths:add", &module, &endpoint), &YOKE_MODULE_NOT_EXPOSED,
                      "test_math");
    assert_error_text(module_resolve("test_math:talk", &module, &endpoint), &YOKE_ENDPOINT_NOT_FOUND,
                      "module `test_math` has no endpoint `talk`; it has: add, take");
    assert_error_text(module_resolve("test_math:add:take", &module, &endpoint), &YOKE_ENDPOINT_NOT_FOUND,
                      "`add:take`");
}

/* The binary has both modules, the actor exposes one. */
static void test_what_an_actor_serves(void **state)
{
    const char *exposed[] = {"test_math", NULL};
    struct actor a = {.modules = exposed}, bare = {.modules = NULL};
    const yoke_endpoint *endpoint;
    assert_success(module_served(&a, text_view("test_math"), text_view("take"), &endpoint));
    assert_string_equal(endpoint->name, "take");
    assert_error_text(module_served(&a, text_view("test_words"), text_view("talk"), &endpoint),
                      &YOKE_MODULE_NOT_EXPOSED, "there are: test_math");
    assert_error_text(module_served(&a, text_view("test_math"), text_view("nope"), &endpoint),
                      &YOKE_ENDPOINT_NOT_FOUND, "it has: add, take");
    assert_error_text(module_served(&bare, text_view("test_math"), text_view("add"), &endpoint),
                      &YOKE_MODULE_NOT_EXPOSED, "there are: none");
    assert_error(module_served(&a, (struct text_view){"test_mathematics", 0}, text_view("add"), &endpoint),
                 &YOKE_MODULE_NOT_EXPOSED);
}

HARNESS_MAIN(TEST(test_lists_of_names), TEST(test_an_unknown_name), TEST(test_without_memory),
             TEST(test_endpoints), TEST(test_malformed_endpoints), TEST(test_endpoints_that_are_not_there),
             TEST(test_what_an_actor_serves))
