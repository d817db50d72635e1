/* What the shims share: the next definition of a libc function, full paths, and the ways to open a directory.
 *
 * A shim includes this once and, for INTERPOSE_DIRECTORY_OPENS, defines `opening_directory(path)`: called
 * before each opening of a directory, once, whichever way libc offers. CPython 3.11 on glibc 2.36 calls
 * opendir (scandir of a path), open64 and openat64 (os.open; fdopendir then makes no system call on the
 * directory's content, so it counts for nothing), stat64, lstat64, fstatat64. find calls openat and fstatat.
 */

#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 8192

/* The next definition of `name`, looked up once (a race looks it up twice, to the same end). */
#define NEXT(name)                                                   \
    ({                                                               \
        static __typeof__(&name) next_;                              \
        if (!next_) next_ = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
        next_;                                                       \
    })

/* Write to `full` the path that (dirfd, path) means; keeps errno. A base too long to be told is left out. */
__attribute__((unused)) static const char *full_path(int dirfd, const char *path, char *full) {
    int saved = errno;
    char link[64];
    ssize_t length = 0;
    if (path[0] != '/') {
        if (dirfd == AT_FDCWD)
            snprintf(link, sizeof link, "/proc/self/cwd");
        else
            snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
        length = readlink(link, full, PATH_BYTES / 2);
        if (length < 0) length = 0;
        full[length++] = '/';
    }
    snprintf(full + length, PATH_BYTES - length, "%s", path);
    errno = saved;
    return full;
}

/* Sleep that long whatever signals come; keeps errno. */
__attribute__((unused)) static void sleep_ms(double ms) {
    int saved = errno;
    struct timespec left = {(time_t)(ms / 1000), (long)((ms - 1000.0 * (time_t)(ms / 1000)) * 1e6)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
    errno = saved;
}

#ifdef INTERPOSE_DIRECTORY_OPENS

static void opening_directory(const char *path);

/* Whether this open is one of a directory's content (by a raw call: a stat shim must not see it). */
static bool is_directory(int dirfd, const char *path, int flags) {
    if ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_PATH | O_CREAT))) return false;
    if (flags & O_DIRECTORY) return true;
    int saved = errno;
    struct stat about;
    bool found = syscall(SYS_newfstatat, dirfd, path, &about, 0) == 0 && S_ISDIR(about.st_mode);
    errno = saved;
    return found;
}

static void opening(int dirfd, const char *path, int flags) {
    char full[PATH_BYTES];
    if (is_directory(dirfd, path, flags)) opening_directory(full_path(dirfd, path, full));
}

static mode_t mode_of(int flags, va_list rest) {
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

#define INTERPOSE_OPEN(name)                          \
    int name(const char *path, int flags, ...) {      \
        va_list rest;                                 \
        va_start(rest, flags);                        \
        mode_t mode = mode_of(flags, rest);           \
        va_end(rest);                                 \
        opening(AT_FDCWD, path, flags);               \
        return NEXT(name)(path, flags, mode);         \
    }
#define INTERPOSE_OPENAT(name)                              \
    int name(int dirfd, const char *path, int flags, ...) { \
        va_list rest;                                       \
        va_start(rest, flags);                              \
        mode_t mode = mode_of(flags, rest);                 \
        va_end(rest);                                       \
        opening(dirfd, path, flags);                        \
        return NEXT(name)(dirfd, path, flags, mode);        \
    }
/* The forms that a caller compiled with _FORTIFY_SOURCE calls when it passes no mode. */
#define INTERPOSE_OPEN_2(name)               \
    int name(const char *path, int flags) {  \
        opening(AT_FDCWD, path, flags);      \
        return NEXT(name)(path, flags);      \
    }
#define INTERPOSE_OPENAT_2(name)                       \
    int name(int dirfd, const char *path, int flags) { \
        opening(dirfd, path, flags);                   \
        return NEXT(name)(dirfd, path, flags);         \
    }

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);

INTERPOSE_OPEN(open)
INTERPOSE_OPEN(open64)
INTERPOSE_OPENAT(openat)
INTERPOSE_OPENAT(openat64)
INTERPOSE_OPEN_2(__open_2)
INTERPOSE_OPEN_2(__open64_2)
INTERPOSE_OPENAT_2(__openat_2)
INTERPOSE_OPENAT_2(__openat64_2)

DIR *opendir(const char *path) { /* libc's own opens its file without passing by `open` above */
    opening(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    return NEXT(opendir)(path);
}

#endif
