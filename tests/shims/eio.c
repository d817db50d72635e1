/* A disk with a bad sector: reading a directory whose path contains SHIM_EIO fails with EIO.
 *
 * The first SHIM_EIO_AFTER entries (`.` and `..` not counted) still come; from then on every read fails.
 */

#include "shim.h"

#include <pthread.h>

#define STREAMS 4096

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static struct {
    DIR *stream;
    long given;
} streams[STREAMS];

static const char *part;
static long after;

__attribute__((constructor)) static void configure(void) {
    const char *count = getenv("SHIM_EIO_AFTER");
    part = getenv("SHIM_EIO");
    after = count ? strtol(count, NULL, 10) : 0;
}

static bool concerned(DIR *stream) {
    char full[PATH_BYTES];
    return part && strstr(full_path(dirfd(stream), "", full), part);
}

/* The place of `stream` in the table, or a free one to take, or -1 when it is full. */
static int place_of(DIR *stream) {
    int free = -1;
    for (int i = 0; i < STREAMS; i++) {
        if (streams[i].stream == stream) return i;
        if (!streams[i].stream && free < 0) free = i;
    }
    return free;
}

/* Count one more entry given from `stream` and return how many that makes. */
static long count(DIR *stream) {
    pthread_mutex_lock(&guard);
    int i = place_of(stream);
    long given = LONG_MAX;
    if (i >= 0) {
        streams[i].stream = stream;
        given = ++streams[i].given;
    }
    pthread_mutex_unlock(&guard);
    return given;
}

static void forget(DIR *stream) {
    pthread_mutex_lock(&guard);
    int i = place_of(stream);
    if (i >= 0) {
        streams[i].stream = NULL;
        streams[i].given = 0;
    }
    pthread_mutex_unlock(&guard);
}

static bool is_dot(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

#define INTERPOSE_READDIR(name, type)                           \
    struct type *name(DIR *stream) {                            \
        if (!concerned(stream)) return NEXT(name)(stream);      \
        struct type *entry = NEXT(name)(stream);                \
        if (entry && is_dot(entry->d_name)) return entry;       \
        if (count(stream) <= after) return entry;     \
        errno = EIO;                                            \
        return NULL;                                            \
    }

INTERPOSE_READDIR(readdir, dirent)
INTERPOSE_READDIR(readdir64, dirent64)

void rewinddir(DIR *stream) {
    forget(stream);
    NEXT(rewinddir)(stream);
}

int closedir(DIR *stream) {
    forget(stream);
    return NEXT(closedir)(stream);
}
