/* Loads the DLL by hand, as old registers do, 50 times over:
 *
 *   load DLL CONF.json
 *
 * and prints the version that its properties show. */
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

typedef int(__cdecl *init_function)(const char *);
typedef int(__cdecl *fini_function)(void);

static void version(const char *dll)
{
    DWORD nothing, size = GetFileVersionInfoSizeA(dll, &nothing);
    void *info = malloc(size + 1);
    char *text = NULL;
    UINT length;
    if (size && GetFileVersionInfoA(dll, 0, size, info)
        && VerQueryValueA(info, "\\StringFileInfo\\040904B0\\ProductVersion", (void **)&text, &length))
        printf("version %s\n", text);
    free(info);
}

int main(int count, char **arguments)
{
    static char conf[65536];
    FILE *file;
    int times;
    if (count != 3 || !(file = fopen(arguments[2], "rb")))
        return 2;
    conf[fread(conf, 1, sizeof conf - 1, file)] = 0;
    fclose(file);
    version(arguments[1]);
    for (times = 1; times <= 50; times++) {
        HMODULE library = LoadLibraryA(arguments[1]);
        init_function init = (init_function)(void *)GetProcAddress(library, "cloud_pay_init");
        fini_function fini = (fini_function)(void *)GetProcAddress(library, "cloud_pay_fini");
        if (!library || !init || !fini) {
            printf("not loaded, error %lu\n", GetLastError());
            return 1;
        }
        if (init(conf) != 0 || fini() != 0) {
            printf("round %d failed\n", times);
            return 1;
        }
        FreeLibrary(library);
    }
    printf("50 times\n");
    return 0;
}
