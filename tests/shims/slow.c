/* A slow file system: each opening of a directory takes SHIM_DIR_MS, each stat by path SHIM_STAT_MS.
 *
 * Only below SHIM_ROOT (itself included) when that is set. SHIM_REPORT names an existing file of 32 bytes that
 * is mapped and counted in, over all processes: directories, stats, most directories at once, most stats at
 * once (the latter two within one process). fstat is free: its file is open already.
 */

#define INTERPOSE_DIRECTORY_OPENS
#include "shim.h"

#include <sys/mman.h>

struct report {
    unsigned long long directories, stats, most_directories, most_stats;
};

static struct report none, *report = &none;
static double directory_ms, stat_ms;
static const char *root;
static unsigned long long directories_now, stats_now;

static double number(const char *name) {
    const char *text = getenv(name);
    return text ? strtod(text, NULL) : 0;
}

__attribute__((constructor)) static void configure(void) {
    directory_ms = number("SHIM_DIR_MS");
    stat_ms = number("SHIM_STAT_MS");
    root = getenv("SHIM_ROOT");
    const char *path = getenv("SHIM_REPORT");
    int file = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) report = mapped;
}

static bool concerned(const char *path) {
    if (!root) return true;
    size_t length = strlen(root);
    return strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static void delay(double ms, unsigned long long *now, unsigned long long *all, unsigned long long *most) {
    __atomic_add_fetch(all, 1, __ATOMIC_RELAXED);
    unsigned long long mine = __atomic_add_fetch(now, 1, __ATOMIC_RELAXED);
    unsigned long long seen = __atomic_load_n(most, __ATOMIC_RELAXED);
    while (mine > seen && !__atomic_compare_exchange_n(most, &seen, mine, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    if (ms > 0) sleep_ms(ms);
    __atomic_sub_fetch(now, 1, __ATOMIC_RELAXED);
}

static void opening_directory(const char *path) {
    if (concerned(path)) delay(directory_ms, &directories_now, &report->directories, &report->most_directories);
}

static void looking(int dirfd, const char *path) {
    char full[PATH_BYTES];
    if (path && path[0] && concerned(full_path(dirfd, path, full)))
        delay(stat_ms, &stats_now, &report->stats, &report->most_stats);
}

#define INTERPOSE_STAT(name, type)                \
    int name(const char *path, struct type *to) { \
        looking(AT_FDCWD, path);                  \
        return NEXT(name)(path, to);              \
    }
#define INTERPOSE_STATAT(name, type)                                    \
    int name(int dirfd, const char *path, struct type *to, int flags) { \
        looking(dirfd, path);                                           \
        return NEXT(name)(dirfd, path, to, flags);                      \
    }

#pragma GCC diagnostic ignored "-Wnonnull-compare"
INTERPOSE_STAT(stat, stat)
INTERPOSE_STAT(lstat, stat)
INTERPOSE_STAT(stat64, stat64)
INTERPOSE_STAT(lstat64, stat64)
INTERPOSE_STATAT(fstatat, stat)
INTERPOSE_STATAT(fstatat64, stat64)

int statx(int dirfd, const char *path, int flags, unsigned int mask, struct statx *to) {
    looking(dirfd, path);
    return NEXT(statx)(dirfd, path, flags, mask, to);
}
