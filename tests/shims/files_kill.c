/* A directory that kills whoever opens it: opening one whose path contains SHIM_KILL aborts the process. */

#define INTERPOSE_DIRECTORY_OPENS
#include "shim.h"

static void opening_directory(const char *path) {
    const char *part = getenv("SHIM_KILL");
    if (part && strstr(path, part)) abort();
}
