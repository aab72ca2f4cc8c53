/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "ctl/tgtimg.h"

/* tgtimg: files for backing stores. The exit codes are stgt's. */

enum {
        IMG_OK = 0,
        IMG_UNKNOWN = 1,
        IMG_NOT_CREATED = 2,
        IMG_NO_SPACE = 3, /* also a size of 0 */
        IMG_NOT_CUT = 6,  /* to its size */
        IMG_USAGE = 22
};

#define IMAGE_MODE 0640

static const AdmOption options[] = {
        { "op", 'o', "OPERATION", "new or show." },
        { "device-type", 'Y', "TYPE", "For what the file is: disk." },
        { "barcode", 'b', "CODE", "Of a tape; not supported by this build." },
        { "size", 's', "MEGABYTES", "How large it is to be." },
        { "type", 't', "MEDIUM", "The kind of medium: disk." },
        { "file", 'f', "PATH", "The file." },
        { "thin-provisioning", 'T', NULL, "Take no space until something is written." },
        { "help", 'h', NULL, "Show this, and end." },
        { NULL },
};

const AdmOption *img_options(void)
{
        return options;
}

typedef struct Img {
        const char *given[128];
} Img;

static const char *value(const Img *g, char letter)
{
        return g->given[(unsigned char)letter];
}

static int usage(const char *format, ...) _printf_(1, 2);
static int usage(const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        (void)fputs("tgtimg: ", stderr);
        (void)vfprintf(stderr, format, ap);
        (void)fputs("\nTry `tgtimg --help' for more information.\n", stderr);
        va_end(ap);
        return IMG_USAGE;
}

static void print_help(void)
{
        (void)printf("Usage: tgtimg --op new --device-type disk --type disk --size MEGABYTES "
                     "--file PATH\n              [--thin-provisioning]\n"
                     "       tgtimg --op show --device-type disk --file PATH\n\n"
                     "Makes files for backing stores, or shows them.\n\n");
        for (const AdmOption *o = options; o->name; o++) {
                g_autofree char *name = g_strdup_printf("-%c, --%s%s%s", o->letter, o->name,
                                                        o->value ? " " : "", o->value ?: "");

                (void)printf("  %-28s %s\n", name, o->help);
        }
        (void)printf("\nSee tgtimg(8).\n");
}

static int reserve(int fd, uint64_t size, const char *path)
{
        int r;

        if (ftruncate(fd, (off_t)size) < 0) {
                perror("Failed setting size of file");
                return IMG_NOT_CUT;
        }
        r = posix_fallocate(fd, 0, (off_t)size);
        if (r != 0) {
                (void)fprintf(stderr, "Failed allocating space for %s: %s\n", path, g_strerror(r));
                return IMG_NO_SPACE;
        }
        return IMG_OK;
}

static int make_disk(const char *path, uint64_t megabytes, bool thin)
{
        uint64_t size;
        int fd, r = IMG_OK;

        if (MUL_OVERFLOW(megabytes, MIB, &size) || size > INT64_MAX)
                return usage("%" PRIu64 " MB are too many", megabytes);
        /* what is there may be the only copy of something */
        fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, IMAGE_MODE);
        if (fd < 0) {
                perror("Failed creating file");
                return IMG_NOT_CREATED;
        }
        if (!thin) {
                r = reserve(fd, size, path);
        } else if (ftruncate(fd, (off_t)size) < 0) {
                perror("Failed setting size of file");
                r = IMG_NOT_CUT;
        }
        if (r == IMG_OK && fsync(fd) < 0) {
                perror("Failed writing file");
                r = IMG_NOT_CREATED;
        }
        (void)safe_close(fd);
        if (r != IMG_OK)
                (void)unlink(path);
        else
                (void)printf("Created blank DISK image file : %s\n", path);
        return r;
}

static int new_disk(const Img *g)
{
        const char *type = value(g, 't'), *file = value(g, 'f'), *text = value(g, 's');
        uint64_t megabytes;

        if (!file || !*file)
                return usage("specify a newly created file");
        if (!type)
                return usage("Missing media type: DISK");
        if (g_ascii_strcasecmp(type, "disk") != 0)
                return usage("Media type must be DISK for disk devices");
        if (!text)
                return usage("Missing the capacity param");
        if (parse_u64(text, 1, UINT64_MAX, &megabytes) < 0) {
                (void)printf("Capacity must be > 0\n");
                return IMG_NO_SPACE;
        }
        return make_disk(file, megabytes, value(g, 'T'));
}

static int show_disk(const Img *g)
{
        const char *file = value(g, 'f');
        struct stat st;

        if (!file || !*file)
                return usage("specify the image file");
        if (stat(file, &st) < 0 || !S_ISREG(st.st_mode)) {
                (void)fprintf(stderr, "%s: %s\n", file,
                              errno ? g_strerror(errno) : "not a regular file");
                return IMG_UNKNOWN;
        }
        (void)printf("Media     : DISK\n"
                     " size     : %" PRIu64 " bytes (%" PRIu64 " MB)\n"
                     " allocated: %" PRIu64 " bytes\n",
                     (uint64_t)st.st_size, (uint64_t)st.st_size / MIB,
                     (uint64_t)st.st_blocks * 512);
        return IMG_OK;
}

static int run(const Img *g)
{
        const char *op = value(g, 'o'), *device = value(g, 'Y') ?: "tape";
        bool new = op &&STREQ(op, "new");

        if (!op)
                return usage("specify the operation type");
        if (!new && !STREQ(op, "show")) {
                (void)fprintf(stderr, "tgtimg: unknown operation: %s\n", op);
                return IMG_UNKNOWN;
        }
        if (STREQ(device, "tape") || STREQ(device, "cd"))
                return usage("--device-type %s: not supported by this build", device);
        if (!STREQ(device, "disk")) {
                (void)fprintf(stderr, "tgtimg: unknown target type: %s\n", device);
                return IMG_USAGE;
        }
        errno = 0;
        return new ? new_disk(g) : show_disk(g);
}

int tgtimg_main(int argc, char **argv)
{
        g_autoptr(GArray) longs = g_array_new(TRUE, TRUE, sizeof(struct option));
        g_autoptr(GString) shorts = g_string_new(NULL);
        Img g = { 0 };
        int letter;

        adm_getopt(options, longs, shorts);
        while ((letter = getopt_long(argc, argv, shorts->str,
                                     (const struct option *)(const void *)longs->data, NULL)) >=
               0) {
                if (letter == '?') {
                        (void)fprintf(stderr, "Try `tgtimg --help' for more information.\n");
                        return IMG_USAGE;
                }
                g.given[letter] = optarg ?: "";
        }
        if (value(&g, 'h')) {
                print_help();
                return IMG_OK;
        }
        if (optind < argc)
                return usage("unrecognized option '%s'", argv[optind]);
        return run(&g);
}
