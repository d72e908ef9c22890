#include "harness.h"

#include "actor/cpus.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* A control group `outer/inner` below a mount, with a quota in each. */
struct groups {
    char mount[32], outer[64], inner[96], of_outer[96], of_inner[128], self[64];
};

static void make(struct groups *g)
{
    strcpy(g->mount, "/tmp/yoke-cpus-XXXXXX");
    assert_non_null(mkdtemp(g->mount));
    snprintf(g->outer, sizeof g->outer, "%s/outer", g->mount);
    snprintf(g->inner, sizeof g->inner, "%s/inner", g->outer);
    snprintf(g->of_outer, sizeof g->of_outer, "%s/cpu.max", g->outer);
    snprintf(g->of_inner, sizeof g->of_inner, "%s/cpu.max", g->inner);
    snprintf(g->self, sizeof g->self, "%s/self", g->mount);
    assert_int_equal(mkdir(g->outer, 0700) | mkdir(g->inner, 0700), 0);
}

static void discard(struct groups *g)
{
    unlink(g->self);
    unlink(g->of_outer);
    unlink(g->of_inner);
    rmdir(g->inner);
    rmdir(g->outer);
    assert_int_equal(rmdir(g->mount), 0);
}

static int with_quotas(struct groups *g, const char *outer, const char *inner)
{
    write_file(g->of_outer, outer);
    write_file(g->of_inner, inner);
    return cpus_usable(g->self, g->mount);
}

static void test_quota_of_the_control_group(void **state)
{
    struct groups g;
    cpu_set_t set;
    int all = cpus_allowed(&set);
    make(&g);
    assert_int_equal(cpus_usable(g.self, g.mount), all); /* no such file */
    write_file(g.self, "0::/outer/inner\n");
    assert_int_equal(with_quotas(&g, "max 100000\n", "max 100000\n"), all);
    assert_int_equal(with_quotas(&g, "max 100000\n", "99900000 100000\n"), all);
    assert_int_equal(with_quotas(&g, "max 100000\n", "50000 100000\n"), 1);
    assert_int_equal(with_quotas(&g, "10000 100000\n", "max 100000\n"), 1); /* of the group around it */
    assert_int_equal(with_quotas(&g, "nonsense", ""), all);
    if (all > 1)
        assert_int_equal(with_quotas(&g, "max 100000\n", "150000 100000\n"), 2);
    write_file(g.self, "1:cpu:/outer\n"); /* version 1 alone: not looked at */
    assert_int_equal(with_quotas(&g, "10000 100000\n", "10000 100000\n"), all);
    discard(&g);
}

static void test_affinity(void **state)
{
    cpu_set_t before, one, seen;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_int_equal(cpus_allowed(&seen), CPU_COUNT(&before));
    assert_true(CPU_EQUAL(&seen, &before));
    int first = 0;
    while (!CPU_ISSET(first, &before))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    int count = cpus_allowed(&seen);
    sched_setaffinity(0, sizeof before, &before);
    assert_int_equal(count, 1);
    assert_true(CPU_ISSET(first, &seen));
}

HARNESS_MAIN(TEST(test_quota_of_the_control_group), TEST(test_affinity))
