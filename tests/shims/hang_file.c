/* A mount that went away: opening a file whose path contains SHIM_HANG never returns.
 *
 * With SHIM_HANG_WHILE, only for as long as that file exists. As in the kernel's case no signal but SIGKILL gets
 * the thread out.
 */

#include "shim.h"

#include <signal.h>

static bool hangs(const char *path) {
    const char *part = getenv("SHIM_HANG"), *name = getenv("SHIM_HANG_WHILE");
    struct stat about;
    return part && strstr(path, part) && (!name || syscall(SYS_newfstatat, AT_FDCWD, name, &about, 0) == 0);
}

static void opening_file(const char *path) {
    if (!hangs(path)) return;
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    while (hangs(path)) sleep_ms(20);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

#define INTERPOSE(name)                                                      \
    int name(const char *path, int flags, ...) {                             \
        va_list rest;                                                        \
        va_start(rest, flags);                                               \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                        \
        opening_file(path);                                                  \
        return NEXT(name)(path, flags, mode);                                \
    }

INTERPOSE(open)
INTERPOSE(open64)
