import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2022',
    // Every file stands by itself: the policy of the pages lets nothing run that is in one.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
