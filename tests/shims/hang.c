/* A mount that went away: opening a directory whose path contains SHIM_HANG never returns.
 *
 * With SHIM_HANG_WHILE, only for as long as that file exists. As in the kernel's case no signal but SIGKILL
 * gets the thread out (they are blocked in it), so a handler that runs there does not help.
 */

#define INTERPOSE_DIRECTORY_OPENS
#include "shim.h"

#include <pthread.h>
#include <signal.h>

static const char *part, *while_exists;

__attribute__((constructor)) static void configure(void) {
    part = getenv("SHIM_HANG");
    while_exists = getenv("SHIM_HANG_WHILE");
}

static bool holds(void) {
    struct stat about;
    return !while_exists || syscall(SYS_newfstatat, AT_FDCWD, while_exists, &about, 0) == 0;
}

static void opening_directory(const char *path) {
    if (!part || !strstr(path, part) || !holds()) return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    while (holds()) sleep_ms(20);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}
