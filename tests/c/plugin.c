/* A plugin that links the static library and exports one function of its own. */
#include <rampmeter.h>

unsigned plugin_entry(void);

unsigned plugin_entry(void) { return rampmeter_abi(); }
