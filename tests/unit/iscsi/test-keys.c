/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <glib.h>

#include "iscsi/keys.h"
#include "iscsi/session.h"

static TextPair value(const char *s)
{
        return (TextPair){ .key = "", .value = s, .value_length = strlen(s) };
}

/* Every row is found by its name, has a range that holds its defaults, and a field of its own. */
static void test_table(void)
{
        for (size_t i = 0; i < _KEYID_MAX; i++) {
                const Key *key = &iscsi_keys[i];

                g_assert_nonnull(key->name);
                g_assert_cmpuint(strlen(key->name), <=, KEY_NAME_MAX);
                if (key->type == KEY_LOCAL || key->type == KEY_LOCAL_IGNORED)
                        g_assert_null(key_find(key->name, strlen(key->name)));
                else
                        g_assert_true(key_find(key->name, strlen(key->name)) == key);
                if (key->flags & KEY_SETTABLE && key->max > 0) {
                        g_assert_cmpuint(key->ours, >=, key->min);
                        g_assert_cmpuint(key->ours, <=, key->max);
                        g_assert_cmpuint(key->standard, >=, key->min);
                        g_assert_cmpuint(key->standard, <=, key->max);
                }
                for (size_t k = 0; k < i; k++)
                        if (key->offset != NO_FIELD)
                                g_assert_cmpuint(key->offset, !=, iscsi_keys[k].offset);
        }
        g_assert_null(key_find("headerdigest", 12)); /* on the wire case matters */
        g_assert_null(key_find("HeaderDigestX", 13));
}

static void test_params(void)
{
        IscsiParams p;
        char text[64], err[256];
        size_t n = 0;

        iscsi_params_default(&p);
        g_assert_cmpuint(p.max_recv_data_segment, ==, 262144);
        g_assert_cmpuint(p.max_burst, ==, 1048576);
        g_assert_false(p.initial_r2t);
        g_assert_true(p.immediate_data);
        g_assert_cmpuint(p.max_queue_cmd, ==, 128);
        /* what get says, set takes */
        for (const char *name; (name = iscsi_params_get(&p, n, text, sizeof(text))); n++) {
                IscsiParams copy = p;

                g_assert_cmpint(iscsi_params_set(&copy, name, text, err, sizeof(err)), ==, 0);
                g_assert_cmpmem(&copy, sizeof(copy), &p, sizeof(p));
        }
        g_assert_cmpuint(n, ==, 18);
        g_assert_cmpint(iscsi_params_set(&p, "maxburstLENGTH", "65536", err, sizeof(err)), ==, 0);
        g_assert_cmpuint(p.max_burst, ==, 65536);
        g_assert_cmpint(iscsi_params_set(&p, "MaxBurstLength", "511", err, sizeof(err)), ==,
                        -ERANGE);
        g_assert_cmpstr(err, ==, "MaxBurstLength is a number from 512 to 16777215");
        g_assert_cmpint(iscsi_params_set(&p, "MaxBurstLength", "1k", err, sizeof(err)), ==,
                        -EINVAL);
        g_assert_cmpint(iscsi_params_set(&p, "InitialR2T", "Yes", err, sizeof(err)), ==, 0);
        g_assert_true(p.initial_r2t);
        g_assert_cmpint(iscsi_params_set(&p, "InitialR2T", "2", err, sizeof(err)), ==, -EINVAL);
        g_assert_cmpint(iscsi_params_set(&p, "HeaderDigest", "CRC32C", err, sizeof(err)), ==, 0);
        g_assert_cmpuint(p.header_digest, ==, ISCSI_DIGEST_CRC32C);
        g_assert_cmpint(iscsi_params_set(&p, "HeaderDigest", "crc32c,none", err, sizeof(err)), ==,
                        0);
        g_assert_cmpuint(p.header_digest, ==, 3);
        g_assert_cmpint(iscsi_params_set(&p, "HeaderDigest", "MD5", err, sizeof(err)), ==, -EINVAL);
        g_assert_cmpint(iscsi_params_set(&p, "HeaderDigest", "", err, sizeof(err)), ==, -EINVAL);
        g_assert_cmpint(iscsi_params_set(&p, "InitiatorName", "x", err, sizeof(err)), ==, -ENOENT);
        g_assert_cmpint(iscsi_params_set(&p, "DataPDUInOrder", "No", err, sizeof(err)), ==,
                        -ERANGE);
}

static void test_text(void)
{
        static const char text[] = "A=1\0\0Key-x=a=b\0Last=";
        TextPair p;
        size_t pos = 0;

        g_assert_cmpint(text_next(text, sizeof(text) - 1, &pos, &p), ==, 1);
        g_assert_true(text_is(&p, "1"));
        g_assert_cmpint(text_next(text, sizeof(text) - 1, &pos, &p), ==, 1);
        g_assert_cmpuint(p.key_length, ==, 5);
        g_assert_true(text_is(&p, "a=b"));
        g_assert_cmpint(text_next(text, sizeof(text) - 1, &pos, &p), ==, 1);
        g_assert_cmpuint(p.value_length, ==, 0);
        g_assert_cmpint(text_next(text, sizeof(text) - 1, &pos, &p), ==, 0);
        static const char *const bad[] = {
                "novalue", "=x", "a b=c", "k\n=v",
                "a123456789012345678901234567890123456789012345678901234567890123=x"
        };
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                pos = 0;
                g_assert_cmpint(text_next(bad[i], strlen(bad[i]), &pos, &p), ==, -EBADMSG);
        }
        pos = 0;
        g_autofree char *name = g_strnfill(KEY_NAME_MAX, 'k');
        g_autofree char *pair = g_strconcat(name, "=v", NULL);
        g_assert_cmpint(text_next(pair, strlen(pair), &pos, &p), ==, 1);
        pos = 0;
        g_autofree char *big = g_strnfill(TEXT_VALUE_MAX + 1, 'v');
        g_autofree char *long_pair = g_strconcat("k=", big, NULL);
        g_assert_cmpint(text_next(long_pair, strlen(long_pair), &pos, &p), ==, -EBADMSG);
}

static void test_text_out(void)
{
        TextOut out = { .max = 20 };

        text_out_add(&out, "A", "12345678");
        g_assert_false(out.failed);
        g_assert_cmpuint(out.n, ==, 11);
        text_out_add(&out, "B", "1234567");
        g_assert_true(out.failed); /* 21 bytes */
        g_assert_cmpuint(out.n, ==, 11);
        text_out_add(&out, "C", "");
        g_assert_cmpuint(out.n, ==, 11); /* for good */
        text_out_done(&out);
}

typedef struct Row {
        KeyId id;
        const char *config, *offered, *answer; /* answer NULL: refused */
        uint32_t result;
} Row;

static const Row rows[] = {
        { KEYID_MAX_BURST_LENGTH, "1048576", "262144", "262144", 262144 },
        { KEYID_MAX_BURST_LENGTH, "65536", "262144", "65536", 65536 },
        { KEYID_MAX_BURST_LENGTH, NULL, "0x40000", "262144", 262144 },
        { KEYID_MAX_BURST_LENGTH, NULL, "511", "Reject", 262144 },
        { KEYID_MAX_BURST_LENGTH, NULL, "16777216", "Reject", 262144 },
        { KEYID_MAX_BURST_LENGTH, NULL, "-1", NULL, 0 },
        { KEYID_MAX_BURST_LENGTH, NULL, "", NULL, 0 },
        { KEYID_FIRST_BURST_LENGTH, NULL, "65536", "65536", 65536 },
        { KEYID_MAX_OUTSTANDING_R2T, NULL, "8", "8", 8 },
        { KEYID_MAX_OUTSTANDING_R2T, NULL, "100", "16", 16 },
        { KEYID_MAX_OUTSTANDING_R2T, NULL, "0", "Reject", 1 },
        { KEYID_DEFAULT_TIME2WAIT, "5", "2", "5", 5 },
        { KEYID_DEFAULT_TIME2WAIT, "5", "7", "7", 7 },
        { KEYID_DEFAULT_TIME2RETAIN, NULL, "0", "0", 0 },
        { KEYID_MAX_CONNECTIONS, "8", "4", "1", 1 },
        { KEYID_ERROR_RECOVERY_LEVEL, "2", "2", "0", 0 },
        { KEYID_INITIAL_R2T, "No", "No", "No", 0 },
        { KEYID_INITIAL_R2T, "No", "Yes", "Yes", 1 },
        { KEYID_INITIAL_R2T, "Yes", "No", "Yes", 1 },
        { KEYID_INITIAL_R2T, "No", "yes", "Reject", 1 },
        { KEYID_IMMEDIATE_DATA, "Yes", "Yes", "Yes", 1 },
        { KEYID_IMMEDIATE_DATA, "Yes", "No", "No", 0 },
        { KEYID_IMMEDIATE_DATA, "No", "Yes", "No", 0 },
        { KEYID_DATA_PDU_IN_ORDER, NULL, "No", "Yes", 1 },
        { KEYID_DATA_SEQUENCE_IN_ORDER, NULL, "No", "Yes", 1 },
        { KEYID_HEADER_DIGEST, NULL, "CRC32C,None", "CRC32C", 2 },
        { KEYID_HEADER_DIGEST, NULL, "None,CRC32C", "None", 1 },
        { KEYID_HEADER_DIGEST, "CRC32C", "None,CRC32C", "CRC32C", 2 },
        { KEYID_HEADER_DIGEST, "None", "CRC32C,None", "None", 1 },
        { KEYID_HEADER_DIGEST, "CRC32C", "None", NULL, 0 },
        { KEYID_DATA_DIGEST, NULL, "X-md5,,None", "None", 1 },
        { KEYID_TASK_REPORTING, NULL, "FastAbort,ResponseFence,RFC3720", "RFC3720", 0 },
        { KEYID_TASK_REPORTING, NULL, "FastAbort", "Reject", 0 },
        { KEYID_PROTOCOL_LEVEL, NULL, "2", "1", 1 },
        { KEYID_IF_MARKER, NULL, "Yes", "No", 0 },
        { KEYID_OF_MARK_INT, NULL, "2048~4096", "Reject", 0 },
        { KEYID_SEND_TARGETS, NULL, "All", "Reject", 0 },
        { KEYID_CHAP_R, NULL, "0x1", "Reject", 0 },
        { KEYID_TARGET_ADDRESS, NULL, "10.0.0.1", NULL, 0 },
};

static void test_negotiate(void)
{
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                const Row *row = &rows[i];
                const Key *key = &iscsi_keys[row->id];
                TextPair pair = value(row->offered);
                TextOut out = { .max = 1000 };
                IscsiParams ours;
                Negotiation neg;
                char err[256] = "";
                int r;

                iscsi_params_default(&ours);
                if (row->config)
                        g_assert_cmpint(
                                iscsi_params_set(&ours, key->name, row->config, err, sizeof(err)),
                                ==, 0);
                negotiation_init(&neg, &ours, false);
                r = negotiate(&neg, key, &pair, &out, err, sizeof(err));
                if (!row->answer) {
                        g_assert_cmpint(r, ==, -EPROTO);
                        g_assert_cmpuint(strlen(err), >, 0);
                        text_out_done(&out);
                        continue;
                }
                g_autofree char *expected = g_strdup_printf("%s=%s", key->name, row->answer);
                g_assert_cmpint(r, ==, 0);
                g_assert_cmpstr(out.p, ==, expected);
                if (key->offset != NO_FIELD)
                        g_assert_cmpuint(key_get(key, &neg.params), ==, row->result);
                /* RFC 7143 6.3: not twice */
                g_assert_cmpint(negotiate(&neg, key, &pair, &out, err, sizeof(err)), ==, -EPROTO);
                text_out_done(&out);
        }
}

static void test_discovery_irrelevant(void)
{
        TextPair pair = value("65536");
        TextOut out = { .max = 1000 };
        IscsiParams ours;
        Negotiation neg;
        char err[64];

        iscsi_params_default(&ours);
        negotiation_init(&neg, &ours, true);
        g_assert_cmpint(
                negotiate(&neg, &iscsi_keys[KEYID_MAX_BURST_LENGTH], &pair, &out, err, sizeof(err)),
                ==, 0);
        g_assert_cmpstr(out.p, ==, "MaxBurstLength=Irrelevant");
        text_out_done(&out);
}

/* Silence means the standard's defaults; where those will not do, we ask. */
static void test_offers(void)
{
        IscsiParams ours;
        Negotiation neg;
        TextOut out = { .max = 1000 };
        TextPair pair = value("CRC32C");
        char err[64];

        iscsi_params_default(&ours);
        negotiation_init(&neg, &ours, false);
        g_assert_false(negotiation_offer(&neg, true, &out));
        g_assert_cmpstr(out.p, ==, "MaxRecvDataSegmentLength=262144");
        negotiation_finish(&neg);
        g_assert_true(neg.params.initial_r2t);
        g_assert_cmpuint(neg.params.max_burst, ==, 262144);
        g_assert_cmpuint(neg.params.first_burst, ==, 65536);
        g_assert_cmpuint(neg.params.max_xmit_data_segment, ==, 8192);
        g_assert_cmpuint(neg.params.header_digest, ==, ISCSI_DIGEST_NONE);
        text_out_done(&out);

        ours.header_digest = ISCSI_DIGEST_CRC32C;
        negotiation_init(&neg, &ours, false);
        g_assert_false(negotiation_offer(&neg, false, &out)); /* it may still say it itself */
        g_assert_true(negotiation_offer(&neg, true, &out));
        g_assert_nonnull(memmem(out.p, out.n, "HeaderDigest=CRC32C", 20));
        out.n = 0;
        g_assert_cmpint(
                negotiate(&neg, &iscsi_keys[KEYID_HEADER_DIGEST], &pair, &out, err, sizeof(err)),
                ==, 0);
        g_assert_cmpuint(out.n, ==, 0); /* an answer is not answered */
        g_assert_false(negotiation_offer(&neg, true, &out));
        g_assert_cmpuint(neg.params.header_digest, ==, ISCSI_DIGEST_CRC32C);
        text_out_done(&out);
}

static void test_invariants(void)
{
        IscsiParams ours;
        Negotiation neg;
        TextOut out = { .max = 1000 };
        TextPair burst = value("1024"), segment = value("512");
        char err[64];

        iscsi_params_default(&ours);
        negotiation_init(&neg, &ours, false);
        g_assert_cmpint(negotiate(&neg, &iscsi_keys[KEYID_MAX_BURST_LENGTH], &burst, &out, err, 64),
                        ==, 0);
        g_assert_cmpint(negotiate(&neg, &iscsi_keys[KEYID_MAX_RECV_DATA_SEGMENT_LENGTH], &segment,
                                  &out, err, 64),
                        ==, 0);
        negotiation_finish(&neg);
        g_assert_cmpuint(neg.params.first_burst, ==, 1024);
        g_assert_cmpuint(neg.params.max_xmit_data_segment, ==, 512);
        text_out_done(&out);
}

static void test_states(void)
{
        unsigned n = 0;

        for (unsigned s = 0; s < _CONN_STATE_MAX; s++)
                for (unsigned e = 0; e < _CONN_EVENT_MAX; e++) {
                        ConnState to = _CONN_STATE_MAX;

                        if (conn_transition(s, e, &to) == 0) {
                                g_assert_cmpuint(to, <, _CONN_STATE_MAX);
                                n++;
                        } else
                                g_assert_cmpuint(to, ==, _CONN_STATE_MAX);
                }
        g_assert_cmpuint(n, ==, 18);
        /* full feature phase has one door */
        for (unsigned s = 0; s < _CONN_STATE_MAX; s++) {
                ConnState to;

                if (conn_transition(s, CONN_EVENT_LOGIN_DONE, &to) == 0)
                        g_assert_cmpuint(s, ==, CONN_IN_LOGIN);
        }
}

static void test_acl(void)
{
        AddrPrefix prefixes[2], any = { 0 };
        char *names[] = { (char *)"iqn.a", (char *)"iqn.b" }, *none[] = { (char *)"NONE" },
             *all[] = { (char *)"ALL" };
        SockAddr in, out;

        g_assert_cmpint(addr_prefix_parse("10.0.0.0/24", &prefixes[0]), ==, 0);
        g_assert_cmpint(addr_prefix_parse("fd00::/8", &prefixes[1]), ==, 0);
        g_assert_cmpint(sockaddr_parse("10.0.0.9:1", 0, false, &in), ==, 0);
        g_assert_cmpint(sockaddr_parse("10.0.1.9:1", 0, false, &out), ==, 0);

        IscsiAcl acl = { 0 };
        g_assert_cmpint(acl_check(&acl, "iqn.a", &in), !=, ACL_ADMITTED); /* nobody */
        acl = (IscsiAcl){ .addresses = prefixes, .n_addresses = 2 };
        g_assert_cmpint(acl_check(&acl, "iqn.x", &in), ==, ACL_ADMITTED);
        g_assert_cmpint(acl_check(&acl, "iqn.x", &out), ==, ACL_ADDRESS);
        acl.names = names;
        acl.n_names = 2;
        g_assert_cmpint(acl_check(&acl, "iqn.b", &in), ==, ACL_ADMITTED);
        g_assert_cmpint(acl_check(&acl, "iqn.c", &in), ==, ACL_NAME);
        g_assert_cmpint(acl_check(&acl, "iqn.b", &out), ==, ACL_ADDRESS); /* both restrict */
        acl = (IscsiAcl){ .names = none, .n_names = 1, .addresses = &any, .n_addresses = 1 };
        g_assert_cmpint(acl_check(&acl, "iqn.a", &in), ==, ACL_NAME);
        acl.names = all;
        g_assert_cmpint(acl_check(&acl, "iqn.a", &in), ==, ACL_ADMITTED);
}

static void test_map(void)
{
        enum { N = 2000 };
        IscsiTarget *targets[N];
        IscsiMap *map;

        for (unsigned i = 0; i < N; i++) {
                g_autofree char *name = g_strdup_printf("IQN.2026-01.org.example:%u", i);
                LunMap *luns;
                IscsiTargetConfig config = { .name = name, .online = true };

                g_assert_cmpint(lun_map_new(NULL, 0, &luns), ==, 0);
                config.luns = luns;
                g_assert_cmpint(iscsi_target_new(&config, &targets[i]), ==, 0);
                lun_map_unref(luns);
        }
        IscsiMapConfig config = { .targets = targets, .n_targets = N };
        g_assert_cmpint(iscsi_map_new(&config, &map), ==, 0);
        g_assert_true(iscsi_map_find(map, "iqn.2026-01.org.example:1234") == targets[1234]);
        g_assert_null(iscsi_map_find(map, "iqn.2026-01.org.example:2000"));
        iscsi_map_unref(map);
        IscsiTarget *twice[] = { targets[0], targets[0] };
        config = (IscsiMapConfig){ .targets = twice, .n_targets = 2 };
        g_assert_cmpint(iscsi_map_new(&config, &map), ==, -EEXIST);
        for (unsigned i = 0; i < N; i++)
                iscsi_target_unref(targets[i]);
        config = (IscsiMapConfig){ 0 };
        g_assert_cmpint(iscsi_map_new(&config, &map), ==, 0);
        g_assert_null(iscsi_map_find(map, "x"));
        iscsi_map_unref(map);
}

static IscsiTarget *make_target(const char *name)
{
        IscsiTargetConfig config = { .name = name, .online = true };
        IscsiTarget *t;

        g_assert_cmpint(lun_map_new(NULL, 0, &config.luns), ==, 0);
        g_assert_cmpint(iscsi_target_new(&config, &t), ==, 0);
        lun_map_unref(config.luns);
        return t;
}

static gboolean next_is(gpointer key, gpointer value, gpointer userdata)
{
        void **walk = userdata;

        g_assert_true(iscsi_map_next(walk[0], walk[1]) == value);
        return FALSE;
}

/* The map has exactly what the model has, in order. */
static void check_map(IscsiMap *map, GTree *model)
{
        IscsiMapCursor at = { 0 };
        void *walk[] = { map, &at };

        g_assert_cmpuint(map->n_targets, ==, g_tree_nnodes(model));
        g_tree_foreach(model, next_is, walk);
        g_assert_null(iscsi_map_next(map, &at));
        for (size_t i = 0; i < map->n_chunks; i++)
                g_assert_cmpuint(map->chunks[i]->n, >, 0);
}

static int by_name(gconstpointer a, gconstpointer b, gpointer userdata)
{
        return strcmp(a, b);
}

static void unref_target(gpointer t)
{
        iscsi_target_unref(t);
}

static size_t n_shared(const IscsiMap *a, const IscsiMap *b)
{
        size_t n = 0;

        for (size_t i = 0; i < a->n_chunks; i++)
                for (size_t k = 0; k < b->n_chunks; k++)
                        n += a->chunks[i] == b->chunks[k];
        return n;
}

/* Maps made of each other, with what came, went and changed, against a plain tree of names. */
static void test_map_changes(void)
{
        g_autoptr(GTree) model = g_tree_new_full(by_name, NULL, g_free, unref_target);
        g_autoptr(GRand) rand = g_rand_new_with_seed(7);
        IscsiMap *map;

        g_assert_cmpint(iscsi_map_new(&(IscsiMapConfig){ 0 }, &map), ==, 0);
        for (unsigned round = 0; round < 400; round++) {
                unsigned n = round == 0 ? 3000 : (unsigned)g_rand_int_range(rand, 0, 40);
                g_autoptr(GPtrArray) put = g_ptr_array_new(), gone = g_ptr_array_new();
                g_autoptr(GPtrArray) stale = g_ptr_array_new();
                g_autoptr(GHashTable) names =
                        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
                bool shrink = round > 150 && round < 300;
                IscsiMap *next;
                size_t before = map->n_chunks;

                for (unsigned i = 0; i < n; i++) {
                        char *name = g_strdup_printf("iqn.x:%d", g_rand_int_range(rand, 0, 5000));
                        IscsiTarget *old = iscsi_map_find(map, name);

                        if (g_hash_table_contains(names, name)) {
                                g_free(name);
                                continue;
                        }
                        g_hash_table_add(names, name);
                        g_assert_true(old == g_tree_lookup(model, name));
                        if (old)
                                g_ptr_array_add(stale, iscsi_target_ref(old));
                        if (old && (shrink || g_rand_boolean(rand))) {
                                g_ptr_array_add(gone, name);
                        } else if (!shrink) {
                                g_ptr_array_add(put, make_target(name));
                        }
                }
                g_assert_cmpint(
                        iscsi_map_new(
                                &(IscsiMapConfig){ .base = map,
                                                   .targets = (IscsiTarget *const *)put->pdata,
                                                   .n_targets = put->len,
                                                   .removed = (const char *const *)gone->pdata,
                                                   .n_removed = gone->len },
                                &next),
                        ==, 0);
                check_map(map, model); /* the old one is as it was */
                for (guint i = 0; i < put->len; i++) {
                        IscsiTarget *t = put->pdata[i];

                        g_tree_replace(model, g_strdup(t->name), t);
                        g_assert_false(t->stale);
                }
                for (guint i = 0; i < gone->len; i++)
                        g_assert_true(g_tree_remove(model, gone->pdata[i]));
                check_map(next, model);
                for (guint i = 0; i < stale->len; i++) {
                        g_assert_true(((IscsiTarget *)stale->pdata[i])->stale);
                        iscsi_target_unref(stale->pdata[i]);
                }
                if (put->len + gone->len == 1) /* what is not touched is the same memory */
                        g_assert_cmpuint(n_shared(map, next) + 2, >=, before);
                iscsi_map_unref(map);
                map = next;
        }
        iscsi_map_unref(map);
}

int main(int argc, char **argv)
{
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/iscsi/keys/table", test_table);
        g_test_add_func("/iscsi/keys/params", test_params);
        g_test_add_func("/iscsi/keys/text", test_text);
        g_test_add_func("/iscsi/keys/text-out", test_text_out);
        g_test_add_func("/iscsi/keys/negotiate", test_negotiate);
        g_test_add_func("/iscsi/keys/irrelevant", test_discovery_irrelevant);
        g_test_add_func("/iscsi/keys/offers", test_offers);
        g_test_add_func("/iscsi/keys/invariants", test_invariants);
        g_test_add_func("/iscsi/states", test_states);
        g_test_add_func("/iscsi/acl", test_acl);
        g_test_add_func("/iscsi/map", test_map);
        g_test_add_func("/iscsi/map/changes", test_map_changes);
        return g_test_run();
}
