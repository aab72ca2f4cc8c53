/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <dlfcn.h>
#include <sys/syscall.h>

#include <glib/gstdio.h>

#include "daemon/operation-mark.h"

#define BOOT "11111111-2222-3333-4444-555555555555"
#define UUID "01234567-89ab-cdef-0123-456789abcdef"

/* The disk: calls that are still to succeed before one fails; negative: none does. */
static int fsyncs = -1, reads = -1;

static bool fails(int *left)
{
        if (*left < 0 || (*left)-- > 0)
                return false;
        errno = EIO;
        return true;
}

int fsync(int fd)
{
        return fails(&fsyncs) ? -1 : (int)syscall(SYS_fsync, fd);
}

struct dirent *readdir(DIR *d)
{
        static struct dirent *(*real)(DIR *);

        if (fails(&reads))
                return NULL;
        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "readdir64");
        return real(d);
}

static void fill(OperationMark *mark)
{
        *mark = (OperationMark){ .started_usec = UINT64_C(1700000000123456) };
        mark->what = (LuOperation){
                .kind = LU_OPERATION_OVERWRITE,
                .unrestricted = true,
                .invert = true,
                .passes = 31,
                .pattern_length = LU_PATTERN_MAX,
                .by = "iqn.2026-01.org.example:a\n=;#,i,0x1",
                .pass = 7,
                .offset = UINT64_MAX - 5,
                .store = { 1, UINT64_MAX, 77 },
                .size = UINT64_C(1) << 62,
        };
        for (size_t i = 0; i < LU_PATTERN_MAX; i++)
                mark->what.pattern[i] = (uint8_t)(i * 7 + i / 256);
}

static void test_round_trip(void)
{
        static const LuOperationKind kinds[] = { LU_OPERATION_FORMAT, LU_OPERATION_OVERWRITE,
                                                 LU_OPERATION_BLOCK_ERASE };
        OperationMark mark, read;

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                g_autofree char *text = NULL;

                fill(&mark);
                mark.what.kind = kinds[i];
                mark.what.failed = i == 1;
                mark.what.error = i == 1 ? -EIO : 0;
                if (i != 1)
                        mark.what.pattern_length = (uint16_t)i; /* and the rest of it is nothing */
                memset(mark.what.pattern + mark.what.pattern_length, 0,
                       LU_PATTERN_MAX - mark.what.pattern_length);
                text = operation_mark_format(&mark, BOOT);
                g_assert_cmpint(operation_mark_parse(text, BOOT, &read), ==, 0);
                g_assert_cmpuint(read.started_usec, ==, mark.started_usec);
                g_assert_cmpstr(read.what.by, ==, mark.what.by);
                g_assert_cmpmem(read.what.pattern, LU_PATTERN_MAX, mark.what.pattern,
                                LU_PATTERN_MAX);
                g_assert_cmpint(read.what.kind, ==, kinds[i]);
                g_assert_cmpint(read.what.failed, ==, mark.what.failed);
                g_assert_cmpint(read.what.error, ==, mark.what.error);
                g_assert_cmpint(read.what.unrestricted, ==, true);
                g_assert_cmpint(read.what.invert, ==, true);
                g_assert_cmpuint(read.what.passes, ==, 31);
                g_assert_cmpuint(read.what.pattern_length, ==, mark.what.pattern_length);
                g_assert_cmpuint(read.what.pass, ==, 7);
                g_assert_cmpuint(read.what.offset, ==, mark.what.offset);
                g_assert_cmpuint(read.what.size, ==, mark.what.size);
                g_assert_cmpmem(&read.what.store, sizeof(StoreIdentity), &mark.what.store,
                                sizeof(StoreIdentity));
        }
}

/* Each byte that changes, and each that is missing, is found. */
static void test_damage(void)
{
        g_autofree char *text = NULL;
        OperationMark mark;
        size_t n;

        fill(&mark);
        mark.what.pattern_length = 4;
        text = operation_mark_format(&mark, BOOT);
        n = strlen(text);
        for (size_t i = 0; i < n; i++) {
                char was = text[i];

                text[i] = was == 'a' ? 'b' : 'a';
                g_assert_cmpint(operation_mark_parse(text, BOOT, &mark), <, 0);
                text[i] = was;
        }
        g_assert_cmpint(operation_mark_parse(text, BOOT, &mark), ==, 0);
        for (size_t i = n; i-- > 0;) {
                text[i] = '\0';
                g_assert_cmpint(operation_mark_parse(text, BOOT, &mark), <, 0);
        }
        g_assert_cmpint(operation_mark_parse("# tgt-operation 2\n", BOOT, &mark), ==,
                        -EPROTONOSUPPORT);
        operation_mark_unreadable(&mark, -EBADMSG);
        g_assert_true(mark.what.failed && mark.what.unrestricted);
}

/* What is well-formed and says what cannot be. */
static void test_nonsense(void)
{
        static const char *const lines[][2] = {
                { "Passes=31", "Passes=0" },    { "Passes=31", "Passes=32" },
                { "Pass=7", "Pass=32" },        { "Pattern=", "Pattern=0" },
                { "Pattern=", "Pattern=zz" },   { "Kind=overwrite", "Kind=melt" },
                { "Failed=false", "Failed=2" }, { "Size=", "Sise=" },
        };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                g_autofree char *text = NULL, *sum = NULL;
                g_autoptr(GString) s = NULL;
                OperationMark mark;
                char *at;

                fill(&mark);
                mark.what.pattern_length = 4;
                text = operation_mark_format(&mark, BOOT);
                s = g_string_new(text);
                g_assert_cmpuint(g_string_replace(s, lines[i][0], lines[i][1], 1), ==, 1);
                at = g_strrstr(s->str, "# checksum ");
                g_string_truncate(s, (gsize)(at - s->str));
                sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, s->str, -1);
                g_string_append_printf(s, "# checksum %s\n", sum);
                g_assert_cmpint(operation_mark_parse(s->str, BOOT, &mark), ==, -EBADMSG);
        }
}

/* A device's name may mean another disk after another boot. */
static void test_boot(void)
{
        for (uint64_t kind = 0; kind < 4; kind++) {
                g_autofree char *text = NULL;
                OperationMark mark, read;

                fill(&mark);
                mark.what.store.kind = kind;
                mark.what.unrestricted = false;
                text = operation_mark_format(&mark, BOOT);
                g_assert_cmpint(operation_mark_parse(text, BOOT, &read), ==, 0);
                g_assert_false(read.what.failed);
                g_assert_cmpint(operation_mark_parse(text, "another", &read), ==, 0);
                g_assert_cmpint(read.what.failed, ==, kind == 2);
                g_assert_cmpint(read.what.unrestricted, ==, kind == 2);
        }
}

static void on_found(void *userdata, const char *uuid, int r, const char *text)
{
        g_string_append_printf(userdata, "%s %d %s;", uuid, r, text ? text : "-");
}

static void test_files(void)
{
        g_autofree char *top = g_dir_make_tmp("tgt-mark-XXXXXX", NULL);
        g_autofree char *dir = g_build_filename(top, "operations", NULL);
        g_autofree char *junk = g_build_filename(dir, UUID ".XYZ123", NULL);
        g_autofree char *file = g_build_filename(dir, UUID, NULL);
        g_autoptr(GString) seen = g_string_new(NULL);
        struct stat st;

        g_assert_cmpint(operation_marks_load(dir, on_found, seen), ==, 0);
        g_assert_cmpint(operation_mark_store(dir, UUID, NULL), ==, 0); /* it is not there */
        g_assert_cmpint(operation_mark_store(dir, UUID, "one"), ==, 0);
        g_assert_cmpint(operation_mark_store(dir, UUID, "two"), ==, 0);
        g_assert_cmpint(stat(file, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
        g_assert_true(g_file_set_contents(junk, "half", -1, NULL));
        g_assert_cmpint(operation_marks_load(dir, on_found, seen), ==, 0);
        g_assert_cmpstr(seen->str, ==, UUID " 0 two;");
        g_assert_cmpint(operation_mark_store(dir, UUID, NULL), ==, 0);
        g_assert_cmpint(g_access(file, F_OK), ==, -1);
        g_assert_cmpint(g_unlink(junk), ==, 0);
        g_assert_cmpint(g_rmdir(dir), ==, 0);
        /* a file where the directory is to be */
        g_assert_true(g_file_set_contents(dir, "", -1, NULL));
        g_assert_cmpint(operation_mark_store(dir, UUID, "one"), <, 0);
        g_assert_cmpint(g_unlink(dir), ==, 0);
        g_assert_cmpint(g_rmdir(top), ==, 0);
}

static void test_failing_disk(void)
{
        g_autofree char *top = g_dir_make_tmp("tgt-mark-XXXXXX", NULL);
        g_autofree char *dir = g_build_filename(top, "operations", NULL);
        g_autofree char *file = g_build_filename(dir, UUID, NULL);
        g_autoptr(GString) seen = g_string_new(NULL);

        /* a directory that is not known to be on the disk is not there */
        fsyncs = 0;
        g_assert_cmpint(operation_mark_store(dir, UUID, "one"), ==, -EIO);
        g_assert_cmpint(fsyncs, ==, -1);
        g_assert_cmpint(g_access(dir, F_OK), ==, -1);
        g_assert_cmpint(operation_mark_store(dir, UUID, "one"), ==, 0);

        /* "." and "..", and then it cannot be read on */
        for (reads = 0; reads < 3;) {
                int after = reads;

                g_assert_cmpint(operation_marks_load(dir, on_found, seen), ==, -EIO);
                g_assert_cmpint(reads, ==, -1);
                reads = after + 1;
        }
        reads = -1;
        g_string_truncate(seen, 0);
        g_assert_cmpint(operation_marks_load(dir, on_found, seen), ==, 0);
        g_assert_cmpstr(seen->str, ==, UUID " 0 one;");
        g_assert_cmpint(g_unlink(file), ==, 0);
        g_assert_cmpint(g_rmdir(dir), ==, 0);
        g_assert_cmpint(g_rmdir(top), ==, 0);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/operation-mark/round-trip", test_round_trip);
        g_test_add_func("/operation-mark/damage", test_damage);
        g_test_add_func("/operation-mark/nonsense", test_nonsense);
        g_test_add_func("/operation-mark/boot", test_boot);
        g_test_add_func("/operation-mark/files", test_files);
        g_test_add_func("/operation-mark/failing-disk", test_failing_disk);
        return g_test_run();
}
