/* A shared object that is fine, but has no module. */
int plugin_empty(void);
int plugin_empty(void)
{
    return 0;
}
