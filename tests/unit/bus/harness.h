/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <glib.h>
#include <pthread.h>
#include <systemd/sd-bus.h>

#include "bus/bus.h"
#include "fake-manager.h"

/* A BusServer over a fake manager in a thread of its own, so that a test can be a plain blocking
 * client of it. */
typedef struct Harness {
        char *dir;    /* temporary */
        char *socket; /* private socket in it */
        pthread_t thread;
        sd_event *event;
        Manager *manager;
        BusServer *server;
        int wake[2]; /* eventfd-like pipe: work for the thread */
        GString *reports;
} Harness;

/* bus: for bus_server_connect(), or NULL. */
Harness *harness_new(const char *bus);
Harness *harness_free(Harness *h);

/* Runs func in the server's thread, and waits for it. */
typedef void HarnessFunc(Harness *h, void *arg);
void harness_run(Harness *h, HarnessFunc *func, void *arg);

/* The manager, to look at: what its thread did before is seen. */
Manager *harness_manager(Harness *h);

/* A client of the private socket. */
sd_bus *harness_peer(Harness *h);
/* true: who connects is cut off, though it says nothing. */
bool harness_refuses(Harness *h);
/* A client of the bus at address. */
sd_bus *harness_client(const char *address);

/* A dbus-daemon of our own that lets every user in. policy: a file of system.d, on a bus that
 * otherwise denies as the system bus does; NULL: everything is allowed. */
typedef struct TestBus {
        char *dir, *address;
        pid_t pid;
} TestBus;

TestBus *test_bus_new(const char *policy);
TestBus *test_bus_free(TestBus *b);
/* Ends the daemon; a later start has the same address. */
void test_bus_stop(TestBus *b);
void test_bus_start(TestBus *b);

/* The object of the first unit there is; newly allocated. */
char *harness_unit_path(sd_bus *bus);

/* Calls a method; returns the reply, or NULL with *error_name (if not NULL) set to a new string. */
sd_bus_message *call(sd_bus *bus, const char *path, const char *interface, const char *member,
                     char **error_name, const char *types, ...);
/* The call must fail with that error. */
#define assert_call_fails(bus, path, interface, member, name, ...)                        \
        do {                                                                              \
                g_autofree char *_error = NULL;                                           \
                sd_bus_message *_m =                                                      \
                        call((bus), (path), (interface), (member), &_error, __VA_ARGS__); \
                g_assert_null(_m);                                                        \
                g_assert_cmpstr(_error, ==, (name));                                      \
        } while (0)
#define assert_call(bus, path, interface, member, ...)                                 \
        do {                                                                           \
                sd_bus_message *_m =                                                   \
                        call((bus), (path), (interface), (member), NULL, __VA_ARGS__); \
                g_assert_nonnull(_m);                                                  \
                sd_bus_message_unref(_m);                                              \
        } while (0)

#define IFACE_MANAGER "org.tgt1.Manager"
#define IFACE_TARGET "org.tgt1.Target"
#define TEST_TARGET "iqn.2024-01.net.example:disk"
#define TEST_TARGET_PATH "/org/tgt1/target/iqn_2e2024_2d01_2enet_2eexample_3adisk"
