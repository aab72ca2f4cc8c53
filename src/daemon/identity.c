/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/identity.h"

#include "base/bytes.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/parse.h"

#define HEADER "tgt-identities 1"
#define CHECKSUM_DIGITS 8

/* Stgt's, which multipath and udev rules of initiators know. */
#define DEFAULT_VENDOR "IET"
#define DEFAULT_PRODUCT "VIRTUAL-DISK"
#define DEFAULT_REVISION "0001"

typedef struct Record {
        uint8_t uuid[16], naa[16];
        char serial[37], scsi_id[37];
        char *original; /* key; NULL: none */
} Record;

static void record_free(gpointer p)
{
        g_free(((Record *)p)->original);
        g_free(p);
}

struct Identities {
        GHashTable *records; /* key -> Record */
        GString *pending;
        bool torn;  /* the file does not end with a newline */
        bool empty; /* the file has no header yet */
};

/* ---- text ------------------------------------------------------------------------------------ */

void uuid_format(const uint8_t u[16], char ret[37])
{
        snprintf(ret, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12],
                 u[13], u[14], u[15]);
}

static int hex_parse(const char *s, uint8_t *ret, size_t n)
{
        if (strlen(s) != 2 * n)
                return -EINVAL;
        for (size_t i = 0; i < n; i++) {
                int high = unhex_char(s[2 * i]), low = unhex_char(s[2 * i + 1]);

                if (high < 0 || low < 0)
                        return -EINVAL;
                ret[i] = (uint8_t)(high << 4 | low);
        }
        return 0;
}

static void hex_format(const uint8_t *bytes, size_t n, char *ret)
{
        for (size_t i = 0; i < n; i++)
                snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

int uuid_parse(const char *s, uint8_t ret[16])
{
        char digits[33];
        size_t n = 0;

        for (size_t i = 0; s[i]; i++) {
                if (s[i] == '-' && (i == 8 || i == 13 || i == 18 || i == 23))
                        continue;
                if (n == 32)
                        return -EINVAL;
                digits[n++] = s[i];
        }
        digits[n] = '\0';
        return hex_parse(digits, ret, 16);
}

/* ---- generating ------------------------------------------------------------------------------ */

/* SPC-4 7.8.6.6.5: NAA 6 is an OUI and 92 bits of the owner's. We own no OUI, so the one here has
 * its "locally administered" bit set (IEEE 802, bit 1 of its first octet) and its group bit clear;
 * everything else is a hash, which is unique enough over all hosts. */
static void naa_from(const char *domain, const void *data, size_t n, uint8_t ret[16])
{
        g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
        uint8_t digest[32];
        gsize size = sizeof(digest);

        g_checksum_update(sum, (const guchar *)domain, (gssize)strlen(domain) + 1);
        g_checksum_update(sum, data, (gssize)n);
        g_checksum_get_digest(sum, digest, &size);
        memcpy(ret, digest, 16);
        ret[0] = (uint8_t)(0x60 | (ret[0] & 0x0f));
        ret[1] = (uint8_t)((ret[1] & 0xcf) | 0x20);
}

static void record_derive(Record *r, const uint8_t uuid[16])
{
        memcpy(r->uuid, uuid, 16);
        naa_from("naa of a uuid", uuid, 16, r->naa);
        hex_format(uuid, 16, r->serial);
        uuid_format(uuid, r->scsi_id);
}

static int record_generate(Record *r)
{
        uint8_t uuid[16];

        if (getrandom(uuid, sizeof(uuid), 0) != sizeof(uuid))
                return -EIO;
        uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* RFC 9562 5.4: version 4 */
        uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
        record_derive(r, uuid);
        return 0;
}

/* ---- the file -------------------------------------------------------------------------------- */

static void checksum(const char *text, char ret[CHECKSUM_DIGITS + 1])
{
        g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

        g_strlcpy(ret, sum, CHECKSUM_DIGITS + 1);
}

static void pend(Identities *i, const char *key, const Record *r)
{
        char uuid[37], naa[33], sum[CHECKSUM_DIGITS + 1];
        g_autofree char *escaped = g_strescape(key, NULL), *body = NULL;
        g_autofree char *original = r->original ? g_strescape(r->original, NULL) : NULL;

        uuid_format(r->uuid, uuid);
        hex_format(r->naa, 16, naa);
        body = g_strjoin("\t", escaped, uuid, naa, r->serial, r->scsi_id, original, NULL);
        checksum(body, sum);
        g_string_append_printf(i->pending, "%s\t%s\n", body, sum);
}

static void put(Identities *i, const char *key, const Record *r)
{
        Record *copy = g_memdup2(r, sizeof(*r));

        copy->original = g_strdup(r->original);
        g_hash_table_replace(i->records, g_strdup(key), copy);
}

static bool read_record(Identities *i, char *line)
{
        char *last = strrchr(line, '\t'), sum[CHECKSUM_DIGITS + 1];
        g_auto(GStrv) fields = NULL;
        g_autofree char *key = NULL, *original = NULL;
        Record r = { 0 };
        guint n;

        if (!last)
                return false;
        *last = '\0';
        checksum(line, sum);
        if (!STREQ(sum, last + 1))
                return false;
        fields = g_strsplit(line, "\t", 0);
        n = g_strv_length(fields);
        if ((n != 5 && n != 6) || uuid_parse(fields[1], r.uuid) < 0 ||
            hex_parse(fields[2], r.naa, 16) < 0 || strlen(fields[3]) >= sizeof(r.serial) ||
            strlen(fields[4]) >= sizeof(r.scsi_id))
                return false;
        g_strlcpy(r.serial, fields[3], sizeof(r.serial));
        g_strlcpy(r.scsi_id, fields[4], sizeof(r.scsi_id));
        key = g_strcompress(fields[0]);
        if (n == 6)
                r.original = original = g_strcompress(fields[5]);
        put(i, key, &r);
        return true;
}

static int read_text(Identities *i, char *text, unsigned *ret_damaged)
{
        char *saved, *line = strtok_r(text, "\n", &saved);

        if (!line || !g_str_has_prefix(line, "tgt-identities "))
                return -EBADMSG;
        if (!STREQ(line, HEADER))
                return -EPROTONOSUPPORT;
        while ((line = strtok_r(NULL, "\n", &saved)))
                if (!read_record(i, line))
                        (*ret_damaged)++;
        return 0;
}

int identities_open(const char *path, Identities **ret, unsigned *ret_damaged)
{
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;
        Identities *i = g_new0(Identities, 1);
        gsize size = 0;
        int r = 0;

        *ret_damaged = 0;
        i->records = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, record_free);
        i->pending = g_string_new(NULL);
        if (!g_file_get_contents(path, &text, &size, &error)) {
                if (g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
                        i->empty = true;
                else
                        r = -EIO;
        } else if (size == 0)
                i->empty = true;
        else {
                i->torn = text[size - 1] != '\n';
                r = read_text(i, text, ret_damaged);
        }
        if (r < 0) {
                identities_free(i);
                return r;
        }
        *ret = i;
        return 0;
}

Identities *identities_free(Identities *i)
{
        if (!i)
                return NULL;
        g_hash_table_unref(i->records);
        g_string_free(i->pending, TRUE);
        g_free(i);
        return NULL;
}

char *identities_take_pending(Identities *i)
{
        GString *text;

        if (i->pending->len == 0)
                return NULL;
        text = g_string_new(i->empty ? HEADER "\n" : i->torn ? "\n" : "");
        g_string_append(text, i->pending->str);
        g_string_truncate(i->pending, 0);
        i->empty = i->torn = false;
        return g_string_free(text, FALSE);
}

void identities_put_back(Identities *i, const char *text)
{
        /* what was written of it, if anything, may be torn: a repeated record is harmless */
        i->empty = g_str_has_prefix(text, HEADER "\n");
        i->torn = !i->empty;
        g_string_prepend(i->pending, i->empty ? text + strlen(HEADER "\n") : text);
}

int identities_append(const char *path, const char *text)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        size_t left = strlen(text);

        if (fd < 0)
                return -errno;
        while (left > 0) {
                ssize_t n = write(fd, text, left);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                text += n;
                left -= (size_t)n;
        }
        return fsync(fd) < 0 ? -errno : 0;
}

/* ---- resolving ------------------------------------------------------------------------------- */

bool identity_has_path(const LunSpec *l)
{
        const StoreType *type = store_type_find(l->bs_type);

        /* a type in memory, which is given its size, makes nothing of a path: that is a label */
        return l->path && (!type || (!type->needs_size && !type->remote));
}

/* What a type that has no files calls the thing, whatever else is said of it; NULL: it cannot. */
static char *remote_key(const LunSpec *l)
{
        const StoreType *type = store_type_find(l->bs_type);
        StoreSpec spec = { .type = l->bs_type, .path = l->path, .options = l->bs_options };
        char key[1024];

        if (!l->path || !type || !type->remote || type->key(&spec, key, sizeof(key)) < 0)
                return NULL;
        return g_strdup(key);
}

char *identity_key(const char *target, const LunSpec *l)
{
        char *key = remote_key(l);

        if (key)
                return key;
        if (identity_has_path(l))
                return g_strconcat("path:", l->path, NULL);
        return g_strdup_printf("lun:%s/%u", target, l->lun);
}

static int lookup(Identities *i, const char *key, const LunSpec *l, Record *ret)
{
        const Record *known;
        uint8_t uuid[16];
        int r;

        *ret = (Record){ 0 };
        if (l->uuid) {
                r = uuid_parse(l->uuid, uuid);
                if (r < 0)
                        return r;
                record_derive(ret, uuid);
                return 0;
        }
        known = g_hash_table_lookup(i->records, key);
        if (known) {
                *ret = *known;
                return 0;
        }
        r = record_generate(ret);
        if (r < 0)
                return r;
        put(i, key, ret);
        pend(i, key, ret);
        return 0;
}

int identities_resolve(Identities *i, const char *key, const LunSpec *l, LuIdentity *ret)
{
        g_autofree char *set = NULL;
        Record record;
        int r = lookup(i, key, l, &record);

        if (r < 0)
                return r;
        memset(ret, 0, sizeof(*ret));
        memcpy(ret->uuid, record.uuid, sizeof(ret->uuid));
        memcpy(ret->naa, record.naa, sizeof(ret->naa));
        ret->serial = g_strdup(l->scsi_sn ? l->scsi_sn : record.serial);
        ret->scsi_id = g_strdup(l->scsi_id ? l->scsi_id : record.scsi_id);
        g_strlcpy(ret->vendor, l->vendor_id ? l->vendor_id : DEFAULT_VENDOR, sizeof(ret->vendor));
        g_strlcpy(ret->product, l->product_id ? l->product_id : DEFAULT_PRODUCT,
                  sizeof(ret->product));
        g_strlcpy(ret->revision, l->product_rev ? l->product_rev : DEFAULT_REVISION,
                  sizeof(ret->revision));
        ret->stgt = l->stgt_identity;
        put_be64(ret->naa_local, UINT64_C(3) << 60 | (uint64_t)l->stgt_tid << 32 | l->lun);
        if (l->naa)
                return hex_parse(l->naa, ret->naa, 16);
        /* a fail-over pair that sets scsi_id alone, as stgt's resource agent does, means one disk:
         * initiators go by the NAA designator first */
        if (l->scsi_id && !l->uuid) {
                set = g_strconcat(l->scsi_id, "\n", l->scsi_sn ? l->scsi_sn : "", NULL);
                naa_from("naa of a scsi id", set, strlen(set), ret->naa);
        }
        return 0;
}

void identity_clear(LuIdentity *id)
{
        g_free((char *)id->serial);
        g_free((char *)id->scsi_id);
        id->serial = id->scsi_id = NULL;
}

void identities_alias(Identities *i, const char *key, const char *like)
{
        const Record *a = g_hash_table_lookup(i->records, key);
        const Record *b = g_hash_table_lookup(i->records, like);
        Record copy;

        if (!b || STREQ(key, like) || (a && g_strcmp0(a->original, like) == 0))
                return;
        copy = *b;
        copy.original = (char *)like;
        put(i, key, &copy);
        pend(i, key, &copy);
}

const char *identities_original(const Identities *i, const char *key)
{
        const Record *r = g_hash_table_lookup(i->records, key);

        return r ? r->original : NULL;
}

void identities_renew(Identities *i, const char *key)
{
        Record r = { 0 };

        if (record_generate(&r) < 0)
                return;
        put(i, key, &r);
        pend(i, key, &r);
}
