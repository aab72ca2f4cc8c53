/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdbool.h>
#include <unistd.h>

#include "mock-polkit.h"

static void forget(void *m)
{
        sd_bus_message_unref(m);
}

static void answer(sd_bus_message *m, bool yes, bool challenge)
{
        if (sd_bus_reply_method_return(m, "(bba{ss})", (int)yes, (int)challenge, 0) < 0)
                g_error("polkit cannot answer");
}

static int check_authorization(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        const char *kind, *key, *name, *action, *value, *cancellation;
        MockPolkit *p = userdata;
        uint32_t flags;

        g_assert_cmpint(sd_bus_message_read(m, "(sa{sv})s", &kind, 1, &key, "s", &name, &action), >,
                        0);
        g_assert_cmpstr(kind, ==, "system-bus-name");
        g_assert_cmpstr(key, ==, "name");

        pthread_mutex_lock(&p->lock);
        g_string_append(p->asked, action);
        g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "{ss}"), >, 0);
        while (sd_bus_message_read(m, "{ss}", &key, &value) > 0)
                g_string_append_printf(p->asked, " %s=%s", key, value);
        g_assert_cmpint(sd_bus_message_exit_container(m), >, 0);
        g_assert_cmpint(sd_bus_message_read(m, "us", &flags, &cancellation), >, 0);
        g_string_append_printf(p->asked, " flags=%u\n", flags);
        p->n_asked++;

        if (p->mode == POLKIT_HOLD)
                g_ptr_array_add(p->held, sd_bus_message_ref(m));
        else
                answer(m, p->mode == POLKIT_YES && g_strcmp0(p->refused, action) != 0,
                       p->mode == POLKIT_CHALLENGE);
        pthread_mutex_unlock(&p->lock);
        return 1;
}

static int cancel(sd_bus_message *m, void *userdata, sd_bus_error *e)
{
        MockPolkit *p = userdata;

        pthread_mutex_lock(&p->lock);
        p->n_cancelled++;
        pthread_mutex_unlock(&p->lock);
        return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", check_authorization,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CancelCheckAuthorization", "s", "", cancel, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int woken(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        MockPolkit *p = userdata;
        char what;

        if (read(fd, &what, 1) != 1)
                g_error("read");
        if (what == 'q')
                return sd_event_exit(p->event, 0);
        pthread_mutex_lock(&p->lock);
        for (guint i = 0; i < p->held->len; i++)
                answer(g_ptr_array_index(p->held, i), true, false);
        g_ptr_array_set_size(p->held, 0);
        pthread_mutex_unlock(&p->lock);
        return 0;
}

static void *thread_main(void *userdata)
{
        MockPolkit *p = userdata;

        g_assert_cmpint(sd_event_loop(p->event), >=, 0);
        return NULL;
}

MockPolkit *mock_polkit_new(const char *address)
{
        MockPolkit *p = g_new0(MockPolkit, 1);

        pthread_mutex_init(&p->lock, NULL);
        p->asked = g_string_new(NULL);
        p->held = g_ptr_array_new_with_free_func(forget);
        g_assert_cmpint(pipe(p->wake), ==, 0);
        g_assert_cmpint(sd_event_new(&p->event), >=, 0);
        g_assert_cmpint(sd_bus_new(&p->bus), >=, 0);
        g_assert_cmpint(sd_bus_set_address(p->bus, address), >=, 0);
        g_assert_cmpint(sd_bus_set_bus_client(p->bus, true), >=, 0);
        g_assert_cmpint(sd_bus_start(p->bus), >=, 0);
        g_assert_cmpint(sd_bus_add_object_vtable(p->bus, NULL,
                                                 "/org/freedesktop/PolicyKit1/Authority",
                                                 "org.freedesktop.PolicyKit1.Authority", vtable, p),
                        >=, 0);
        g_assert_cmpint(sd_bus_request_name(p->bus, "org.freedesktop.PolicyKit1", 0), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(p->bus, p->event, 0), >=, 0);
        g_assert_cmpint(sd_event_add_io(p->event, NULL, p->wake[0], EPOLLIN, woken, p), >=, 0);
        g_assert_cmpint(pthread_create(&p->thread, NULL, thread_main, p), ==, 0);
        return p;
}

MockPolkit *mock_polkit_free(MockPolkit *p)
{
        if (!p)
                return NULL;
        g_assert_cmpint(write(p->wake[1], "q", 1), ==, 1);
        pthread_join(p->thread, NULL);
        g_ptr_array_unref(p->held);
        sd_bus_flush_close_unref(p->bus);
        sd_event_unref(p->event);
        g_string_free(p->asked, TRUE);
        (void)close(p->wake[0]);
        (void)close(p->wake[1]);
        pthread_mutex_destroy(&p->lock);
        g_free(p);
        return NULL;
}

void mock_polkit_set(MockPolkit *p, PolkitMode mode, const char *refused)
{
        pthread_mutex_lock(&p->lock);
        p->mode = mode;
        p->refused = refused;
        p->n_asked = p->n_cancelled = 0;
        g_string_truncate(p->asked, 0);
        pthread_mutex_unlock(&p->lock);
}

char *mock_polkit_asked(MockPolkit *p)
{
        char *asked;

        pthread_mutex_lock(&p->lock);
        asked = g_strdup(p->asked->str);
        pthread_mutex_unlock(&p->lock);
        return asked;
}

static void wait_for(MockPolkit *p, const unsigned *counter, unsigned n)
{
        unsigned now = 0;

        for (int i = 0; i < 1000; i++) {
                pthread_mutex_lock(&p->lock);
                now = *counter;
                pthread_mutex_unlock(&p->lock);
                if (now >= n)
                        return;
                (void)usleep(10000);
        }
        g_error("polkit: %u, not %u", now, n);
}

void mock_polkit_wait_asked(MockPolkit *p, unsigned n)
{
        wait_for(p, &p->n_asked, n);
}

void mock_polkit_wait_cancelled(MockPolkit *p, unsigned n)
{
        wait_for(p, &p->n_cancelled, n);
}

void mock_polkit_release(MockPolkit *p)
{
        g_assert_cmpint(write(p->wake[1], "r", 1), ==, 1);
}
