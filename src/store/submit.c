/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/internal.h"

/* What every request passes: checks, then straight to the type if it can take the request as it
 * is, else emulate.c. */

static int store_map_error(int r)
{
        switch (r) {
        case -ENXIO:
                return -ENODEV;
        case -EDQUOT:
        case -EFBIG: /* the file system's limit, RLIMIT_FSIZE */
                return -ENOSPC;
        case -ENOSPC:
        case -ENODEV:
        case -ERANGE:
        case -EROFS:
        case -ENOMEM:
        case -ECANCELED:
        case -EOPNOTSUPP:
                return r;
        default:
                return r < 0 ? -EIO : r;
        }
}

static size_t iov_length(const struct iovec *iov, unsigned n)
{
        size_t len = 0;

        for (unsigned i = 0; i < n; i++)
                len += iov[i].iov_len;
        return len;
}

unsigned iov_skip(const struct iovec *iov, unsigned n, size_t skip, struct iovec *ret)
{
        unsigned k = 0;

        for (unsigned i = 0; i < n; i++) {
                if (skip >= iov[i].iov_len) {
                        skip -= iov[i].iov_len;
                        continue;
                }
                ret[k].iov_base = (uint8_t *)iov[i].iov_base + skip;
                ret[k++].iov_len = iov[i].iov_len - skip;
                skip = 0;
        }
        return k;
}

void iov_copy_to(const struct iovec *iov, unsigned n, size_t skip, const void *buf, size_t len)
{
        struct iovec v[STORE_IOV_MAX];
        const uint8_t *p = buf;

        n = iov_skip(iov, n, skip, v);
        for (unsigned i = 0; i < n && len > 0; i++) {
                size_t m = MIN(len, v[i].iov_len);

                memcpy(v[i].iov_base, p, m);
                p += m;
                len -= m;
        }
}

void iov_copy_from(const struct iovec *iov, unsigned n, size_t skip, void *buf, size_t len)
{
        struct iovec v[STORE_IOV_MAX];
        uint8_t *p = buf;

        n = iov_skip(iov, n, skip, v);
        for (unsigned i = 0; i < n && len > 0; i++) {
                size_t m = MIN(len, v[i].iov_len);

                memcpy(p, v[i].iov_base, m);
                p += m;
                len -= m;
        }
}

void iov_fill(const struct iovec *iov, unsigned n, uint8_t byte)
{
        for (unsigned i = 0; i < n; i++)
                memset(iov[i].iov_base, byte, iov[i].iov_len);
}

/* 0: go on; 1: nothing to do; or an error. */
static int check(const Store *s, const StoreRequest *req)
{
        bool data = req->op == STORE_READ || req->op == STORE_WRITE;
        uint64_t end;

        if (UNLIKELY(store_is_gone(s)))
                return -ENODEV;
        if (req->op == STORE_FLUSH)
                return 0;
        if (ADD_OVERFLOW(req->offset, req->length, &end) || end > store_size(s))
                return -ERANGE;
        if (req->op != STORE_READ && UNLIKELY(store_is_readonly(s)))
                return -EROFS;
        if (req->op == STORE_DISCARD && s->caps.discard_granularity == 0)
                return -EOPNOTSUPP;
        if ((req->offset | req->length) % s->granularity != 0)
                return -EINVAL;
        if (data && (req->n_iov > STORE_IOV_MAX || iov_length(req->iov, req->n_iov) != req->length))
                return -EINVAL;
        return req->length == 0;
}

static bool memory_fits(const Store *s, const StoreRequest *req)
{
        for (unsigned i = 0; i < req->n_iov; i++)
                if ((uintptr_t)req->iov[i].iov_base % s->mem_align != 0 ||
                    req->iov[i].iov_len % s->align != 0)
                        return false;
        return true;
}

/* May the type have it as it is? */
static bool is_plain(const Store *s, const StoreRequest *req)
{
        uint64_t both = req->offset | req->length;
        bool fua = (req->flags & STORE_FUA) && !(s->native & NATIVE_FUA);

        switch (req->op) {
        case STORE_READ:
                return s->align == 1 || (both % s->align == 0 && memory_fits(s, req));
        case STORE_WRITE:
                return !fua && !s->locked &&
                       (s->align == 1 || (both % s->align == 0 && memory_fits(s, req)));
        case STORE_ZERO:
                return !fua && !s->locked && (s->native & NATIVE_ZERO) && both % s->zap_align == 0;
        case STORE_DISCARD:
                return !s->locked && both % s->zap_align == 0;
        case STORE_FLUSH:
                return true;
        }
        return false;
}

static void set_busy(StoreChannel *ch, int by)
{
        __atomic_store_n(&ch->busy, ch->busy + (unsigned)by, __ATOMIC_RELAXED);
}

static int consequences(Store *s, int result)
{
        result = store_map_error(result);
        if (UNLIKELY(result == -ENODEV))
                __atomic_store_n(&s->gone, true, __ATOMIC_RELAXED);
        return result;
}

void request_complete(StoreRequest *req, int result)
{
        req->result = consequences(req->channel->store, result);
        set_busy(req->channel, -1);
        req->done(req);
}

/* A ZERO that the type refuses for this range is not lost: emulation does it. */
static bool must_emulate(const StoreIo *io)
{
        return io->op == STORE_ZERO && io->result == -EOPNOTSUPP;
}

static void plain_done(StoreIo *io)
{
        Frame *f = CONTAINER_OF(io, Frame, io);
        StoreRequest *req = frame_request(f);

        if (UNLIKELY(must_emulate(io))) {
                f->by_write = true;
                if (!emulate_start(req))
                        return;
                io->result = req->result;
        }
        request_complete(req, io->result);
}

static bool plain_submit(Store *s, StoreChannel *ch, StoreRequest *req)
{
        StoreIo *io = &frame_of(req)->io;

        io->op = req->op;
        io->flags = req->flags;
        io->offset = req->offset;
        io->length = req->length;
        io->iov = req->iov;
        io->n_iov = req->n_iov;
        io->result = 0;
        io->channel = ch;
        io->done = plain_done;
        if (!s->ops->submit(ch, io))
                return false;
        if (UNLIKELY(must_emulate(io))) {
                frame_of(req)->by_write = true;
                return emulate_start(req);
        }
        req->result = io->result;
        return true;
}

bool store_submit(StoreChannel *ch, StoreRequest *req)
{
        Store *s = ch->store;
        Frame *f = frame_of(req);
        bool complete;
        int r = check(s, req);

        req->channel = ch;
        if (r != 0) {
                req->result = r < 0 ? r : 0;
                return true;
        }
        f->emulated = f->by_write = false;
        set_busy(ch, 1);
        complete = LIKELY(is_plain(s, req)) ? plain_submit(s, ch, req) : emulate_start(req);
        if (complete) {
                req->result = consequences(s, req->result);
                set_busy(ch, -1);
        }
        return complete;
}

bool store_lend(StoreChannel *ch, uint64_t offset, uint64_t length, StoreLoan *ret)
{
        Store *s = ch->store;
        uint64_t end;

        if (!s->ops->lend || store_is_gone(s) || ADD_OVERFLOW(offset, length, &end) ||
            end > store_size(s) || !s->ops->lend(s, offset, length, ret))
                return false;
        set_busy(ch, 1);
        return true;
}

void store_loan_end(StoreChannel *ch)
{
        set_busy(ch, -1);
}

int store_loan_read(const StoreLoan *loan, uint64_t skip, void *buf, size_t n)
{
        ssize_t k;

        if (loan->fd < 0) {
                memcpy(buf, loan->memory + skip, n);
                return 0;
        }
        k = pread(loan->fd, buf, n, (off_t)(loan->offset + skip));
        if (k < 0)
                return -errno;
        return (size_t)k == n ? 0 : -ERANGE;
}

void store_cancel(StoreRequest *req)
{
        StoreChannel *ch = req->channel;
        Frame *f = frame_of(req);

        if (f->emulated)
                emulate_cancel(req);
        else if (ch->store->ops->cancel)
                ch->store->ops->cancel(ch, &f->io);
}
