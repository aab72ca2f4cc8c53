/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/mman.h>

#include "store/file.h"

/* A file on tmpfs, mapped, so that its bytes can be sent without being read before. The kernel
 * copies them as it takes them. (sendfile(2) does not: the socket would have the file's pages until
 * the peer has received them, or even until it looks at them if it is on this host, and a later
 * write would change what is yet to be seen.)
 *
 * Nothing here looks at the mapping itself: behind the end of a file that was cut off that is
 * SIGBUS, and EFAULT to a system call. */

struct FileMap {
        uint8_t *base;
        size_t length;
        FileMap *older;
};

/* Behind the end there is room to grow, so that a file which grows and grows is not mapped each
 * time: at most twice its size, of addresses and nothing else. */
static size_t room_for(uint64_t size)
{
        size_t length = (size_t)sysconf(_SC_PAGESIZE);

        while (length < size && length <= SIZE_MAX / 2)
                length *= 2;
        return length;
}

static FileMap *map_new(int fd, uint64_t size)
{
        FileMap *m = calloc(1, sizeof(*m));
        void *base;

        if (!m)
                return NULL;
        m->length = room_for(size);
        base = mmap(NULL, m->length, PROT_READ, MAP_SHARED, fd, 0);
        if (base == MAP_FAILED) {
                free(m);
                return NULL;
        }
        /* what initiators store has no place in a core dump */
        (void)madvise(base, m->length, MADV_DONTDUMP);
        m->base = base;
        return m;
}

/* Lets go of a file that is no longer served, and keeps its addresses: what is being sent from them
 * must not become something else. */
static void forget_pages(FileMap *m)
{
        for (; m; m = m->older)
                (void)mmap(m->base, m->length, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

void file_map(FileStore *fs, uint64_t size, bool replaced)
{
        FileMap *m = NULL;

        if (fs->map && !replaced && size <= fs->map->length)
                return;
        if (replaced)
                forget_pages(fs->maps);
        if (fs->memory && !fs->direct && size > 0)
                m = map_new(fs->fd, size);
        if (m) {
                m->older = fs->maps;
                fs->maps = m;
        }
        __atomic_store_n(&fs->map, m, __ATOMIC_RELEASE);
}

void file_unmap(FileStore *fs)
{
        FileMap *m;

        while ((m = fs->maps)) {
                fs->maps = m->older;
                (void)munmap(m->base, m->length);
                free(m);
        }
}

/* A hole would be filled by being looked at. */
static bool is_full(int fd, uint64_t end)
{
        struct stat st;

        return fstat(fd, &st) == 0 && end <= (uint64_t)st.st_size &&
               (uint64_t)st.st_blocks * 512 >= (uint64_t)st.st_size;
}

bool file_lend(Store *s, uint64_t offset, uint64_t length, StoreLoan *ret)
{
        FileStore *fs = (FileStore *)s;
        const FileMap *m = __atomic_load_n(&fs->map, __ATOMIC_ACQUIRE);

        if (!m || offset + length > m->length || !is_full(fs->fd, offset + length))
                return false;
        *ret = (StoreLoan){ .memory = m->base + offset, .fd = fs->fd, .offset = offset };
        return true;
}
